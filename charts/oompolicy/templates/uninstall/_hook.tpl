{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* Annotations of what `helm uninstall` makes first, by weight. Helm takes it away again when all of it has
       succeeded, and the next try what a failed one has left. */}}
{{- define "oompolicy.preDelete" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- /* A Job of `oompolicy-release`. */}}
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
    {{- include "oompolicy.preDelete" .weight | nindent 4 }}
    # So that the reason stands below Helm's own error.
    helm.sh/hook-output-log-policy: hook-failed
spec:
  # It waits by itself, and a second try would wait beyond Helm's patience.
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
