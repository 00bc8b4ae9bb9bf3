{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* One installation per cluster, so names are fixed: those in deploy/, docs and alerts. */}}
{{- define "oompolicy.selector" -}}
app.kubernetes.io/name: oompolicy
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "oompolicy.common" -}}
app.kubernetes.io/part-of: oompolicy
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "oompolicy.labels" -}}
{{ include "oompolicy.selector" (index . 1) }}
{{ include "oompolicy.common" (index . 0) }}
{{- end }}

{{- /* A file of deploy/, in the release's namespace and with the chart's labels: the rules themselves stand there
       once, readable and usable without Helm. */}}
{{- define "oompolicy.deploy" -}}
{{- $top := index . 0 }}
{{- $text := $top.Files.Get (printf "deploy/%s" (index . 1)) | required (printf "the chart has no deploy/%s" (index . 1)) }}
{{- range regexSplit "(?m)^---$" ($text | replace "oompolicy-system" $top.Release.Namespace) -1 }}
{{- $object := fromYaml . }}
{{- $_ := set $object.metadata "labels" (include "oompolicy.common" $top | fromYaml) }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}

{{- define "oompolicy.image" -}}
{{- $top := index . 0 }}
{{- $image := get $top.Values.images (index . 1) }}
{{- with $top.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $top.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "oompolicy.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Whether agents read pods in the name of their node: KEP-5284, on by default since 1.36. */}}
{{- define "oompolicy.ownNode" -}}
{{- $new := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}
{{- if and (eq .Values.agent.podAccess "ownNode") (not $new) }}
{{- fail (printf "agent.podAccess is ownNode, which needs Kubernetes 1.36, and this cluster is %s: use auto or allPods" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if or (eq .Values.agent.podAccess "ownNode") (and (eq .Values.agent.podAccess "auto") $new) }}true{{ end }}
{{- end }}

{{- /* Root, with the capabilities in the list. AppArmor's default profile lets nobody write below /sys/fs/bpf, nor
       read how far the kernel is locked down; SELinux's default type neither. */}}
{{- define "oompolicy.privileged" -}}
runAsUser: 0
runAsGroup: 0
runAsNonRoot: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  add: {{ toJson . }}
seccompProfile:
  type: RuntimeDefault
appArmorProfile:
  type: Unconfined
seLinuxOptions:
  type: spc_t
{{- end }}

{{- define "oompolicy.restricted" -}}
runAsUser: 41317
runAsGroup: 41317
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* Where the agents are, and so whatever has to be where they are. */}}
{{- define "oompolicy.onNodes" -}}
nodeSelector:
  {{- merge (dict "kubernetes.io/os" "linux") .nodeSelector | toYaml | nindent 2 }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
