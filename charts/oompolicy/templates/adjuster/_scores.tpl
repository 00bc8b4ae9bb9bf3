{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* Renders true if nodes without the hook use scores. helm upgrade --reuse-values has no scoreAdj in the values of an
       earlier release. Those values name a hook.source that never uses scores. */}}
{{- define "oompolicy.scores" -}}
{{- $enabled := dig "enabled" true (.Values.scoreAdj | default dict) }}
{{- if and (eq .Values.hook.source "scores") (not $enabled) }}
{{- fail "hook.source is scores and scoreAdj.enabled is false: set hook.source to kernel or none for nodes that use no scores" }}
{{- end }}
{{- if and (has .Values.hook.source (list "auto" "scores")) $enabled }}true{{ end }}
{{- end }}

{{- /* Renders true if the adjuster may set memory.oom.group. */}}
{{- define "oompolicy.killScope" -}}
{{- if dig "enabled" false (.Values.killScope | default dict) }}true{{ end }}
{{- end }}

{{- /* Renders true if the adjuster may read the kernel's log. */}}
{{- define "oompolicy.kernelLog" -}}
{{- if dig "enabled" false (.Values.kernelLog | default dict) }}true{{ end }}
{{- end }}

{{- /* Renders true if the agent reads the reports of the adjuster. */}}
{{- define "oompolicy.asksAdjuster" -}}
{{- if or (include "oompolicy.scores" .) (include "oompolicy.kernelLog" .) }}true{{ end }}
{{- end }}

{{- /* Renders true if the release has an adjuster. With kill scopes or the kernel's log alone, it writes no score. */}}
{{- define "oompolicy.adjuster" -}}
{{- if or (include "oompolicy.asksAdjuster" .) (include "oompolicy.killScope" .) }}true{{ end }}
{{- end }}

{{- /* Renders true if this upgrade ends the use of the adjuster, or its right to set memory.oom.group. The account exists
       as long as the release has an adjuster, also if a hook of an upgrade that failed has deleted the DaemonSet.
       `helm template` reaches no API server, and finds nothing. */}}
{{- define "oompolicy.adjusterEnds" -}}
{{- with lookup "v1" "ServiceAccount" .Release.Namespace "oompolicy-adjuster" }}
{{- $groups := dig "metadata" "annotations" "oompolicy.dev/kill-scope" "" . }}
{{- if or (not (include "oompolicy.adjuster" $)) (and $groups (not (include "oompolicy.killScope" $))) }}true{{ end }}
{{- end }}
{{- end }}

{{- /* The capabilities of the adjuster for its values. docs/design/2026-11-22-node-contracts.md#capabilities gives the
       reason for each of them. */}}
{{- define "oompolicy.adjusterCapabilities" -}}
[DAC_OVERRIDE, SYS_RESOURCE]
{{- end }}

{{- define "oompolicy.adjusterVolume" -}}
- name: adjuster
  hostPath: {path: /run/oompolicy-adjuster, type: DirectoryOrCreate}
{{- end }}

{{- /* An init container that ends when all processes of the node have their original oom_score_adj again, and all cgroups
       their original memory.oom.group. Its pod needs hostPID. On a node without an adjuster there is nothing to
       restore. */}}
{{- define "oompolicy.restore" -}}
- name: restore
  image: {{ include "oompolicy.image" (list . "oompolicy") }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [oompolicy-adjuster]
  args: [--restore]
  resources:
    {{- toYaml .Values.agent.loaderResources | nindent 4 }}
  securityContext:
    {{- include "oompolicy.privileged" (include "oompolicy.adjusterCapabilities" . | fromYamlArray) | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - {name: adjuster, mountPath: /run/oompolicy-adjuster}
    - {name: cgroup, mountPath: /sys/fs/cgroup}
{{- end }}
