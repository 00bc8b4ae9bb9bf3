{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* Annotations of the objects that `helm uninstall` (pre-delete) or `helm upgrade` (pre-upgrade) creates first, in the
       order of their weight. Helm deletes them when all have succeeded. After a failure they stay, and the next attempt
       replaces them. */}}
{{- define "oompolicy.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- /* The events before which Helm runs hooks, with a comma between them. */}}
{{- define "oompolicy.events" -}}
{{- $events := list }}
{{- if .Values.uninstall.detach }}{{ $events = append $events "pre-delete" }}{{ end }}
{{- if include "oompolicy.adjusterEnds" . }}{{ $events = append $events "pre-upgrade" }}{{ end }}
{{- join "," $events }}
{{- end }}

{{- /* A Job that runs `oompolicy-release`. */}}
{{- define "oompolicy.releaseJob" -}}
{{- $top := .top }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ $top.Release.Namespace }}
  labels:
    {{- include "oompolicy.labels" (list $top "uninstall") | nindent 4 }}
  annotations:
    {{- include "oompolicy.hook" (list .event .weight) | nindent 4 }}
    # Helm then prints the reason below its own error.
    helm.sh/hook-output-log-policy: hook-failed
spec:
  # The program waits by itself. A second attempt would exceed Helm's timeout.
  backoffLimit: 0
  template:
    metadata:
      labels:
        {{- include "oompolicy.labels" (list $top "uninstall") | nindent 8 }}
    spec:
      serviceAccountName: oompolicy-uninstall
      restartPolicy: Never
      {{- include "oompolicy.onNodes" $top.Values.operator | nindent 6 }}
      {{- include "oompolicy.pullSecrets" $top | nindent 6 }}
      containers:
        - name: release
          image: {{ include "oompolicy.image" (list $top "oompolicy") }}
          imagePullPolicy: {{ $top.Values.images.pullPolicy }}
          command: [oompolicy-release]
          args: {{ append .args (printf "--deadline=%d" (int $top.Values.uninstall.deadlineSeconds)) | toJson }}
          env:
            - name: POD_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
          resources:
            requests: {cpu: 20m, memory: 64Mi}
            limits: {memory: 128Mi}
          securityContext:
            {{- include "oompolicy.restricted" $top | nindent 12 }}
          terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{- /* A DaemonSet that does something once on each node, in init containers. */}}
{{- define "oompolicy.onceOnEachNode" -}}
{{- $top := .top }}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: oompolicy-{{ .component }}
  namespace: {{ $top.Release.Namespace }}
  labels:
    {{- include "oompolicy.labels" (list $top .component) | nindent 4 }}
  annotations:
    {{- include "oompolicy.hook" (list .event "0") | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "oompolicy.selector" .component | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "oompolicy.labels" (list $top .component) | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      {{- if ($top.Values.openshift).enabled }}
      # This account may use the SecurityContextConstraints `privileged`. The pod has no token of it.
      serviceAccountName: oompolicy-agent
      {{- end }}
      # `restore` reaches the oom_score_adj of a process by its pid in the node's own namespace.
      hostPID: true
      priorityClassName: {{ $top.Values.agent.priorityClassName }}
      # The waiting container has nothing to clean up.
      terminationGracePeriodSeconds: 1
      {{- include "oompolicy.onNodes" $top.Values.agent | nindent 6 }}
      {{- include "oompolicy.pullSecrets" $top | nindent 6 }}
      initContainers:
        {{- .containers | nindent 8 }}
      containers:
        # A pod of a DaemonSet must keep running. If this container runs, the node is done.
        - name: done
          image: {{ include "oompolicy.image" (list $top .image) }}
          imagePullPolicy: {{ $top.Values.images.pullPolicy }}
          command: [sleep, infinity]
          resources:
            requests: {cpu: 1m, memory: 8Mi}
            limits: {memory: 32Mi}
          securityContext:
            {{- include "oompolicy.restricted" $top | nindent 12 }}
          terminationMessagePolicy: FallbackToLogsOnError
      volumes:
        {{- .volumes | nindent 8 }}
        {{- include "oompolicy.adjusterVolume" $top | nindent 8 }}
        - name: cgroup
          hostPath: {path: /sys/fs/cgroup, type: Directory}
{{- end }}
