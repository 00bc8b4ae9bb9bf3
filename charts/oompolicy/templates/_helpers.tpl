{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* There is one installation per cluster, so its objects have fixed names. deploy/, docs and alerts use them. */}}
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
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "oompolicy.labels" -}}
{{ include "oompolicy.selector" (index . 1) }}
{{ include "oompolicy.common" (index . 0) }}
{{- end }}

{{- /* Renders a file of deploy/ in the release's namespace and with the chart's labels. The rules have one source, which
       you can also apply without Helm. */}}
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

{{- /* Renders true if agents read pods in the name of their node (KEP-5284, on by default since 1.36).
       Without a cluster, as in `helm template`, KubeVersion is the version that helm was built with or the one of
       --kube-version. The manifests may then go to an older cluster, so auto needs a cluster that answers. */}}
{{- define "oompolicy.ownNode" -}}
{{- $new := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}
{{- if and (eq .Values.agent.podAccess "ownNode") (not $new) }}
{{- fail (printf "agent.podAccess is ownNode, which needs Kubernetes 1.36, but this cluster is %s: set agent.podAccess to auto or allPods" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if eq .Values.agent.podAccess "ownNode" }}true
{{- else if and (eq .Values.agent.podAccess "auto") $new (lookup "v1" "Namespace" "" "kube-system") }}true
{{- end }}
{{- end }}

{{- /* Root with the listed capabilities. AppArmor's default profile and SELinux's default type both forbid to write
       below /sys/fs/bpf, to read the kernel's lockdown state, and to write to /proc/pressure/memory. */}}
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

{{- /* The nodes of a component: its selector, tolerations and affinity. */}}
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
