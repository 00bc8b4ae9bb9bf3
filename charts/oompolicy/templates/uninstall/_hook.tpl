{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* Annotations of the objects that `helm uninstall` creates first, in the order of their weight. Helm deletes them
       when all have succeeded. After a failure they stay, and the next attempt replaces them. */}}
{{- define "oompolicy.preDelete" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
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
    {{- include "oompolicy.preDelete" .weight | nindent 4 }}
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
