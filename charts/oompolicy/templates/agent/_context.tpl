{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* As all that is not privileged, and BPF beside it: in the bounding set of a user who is not root it opens the
       default seccomp profile to bpf(2), and is no capability that the process has, nor can get. The kernel then lets
       it do with pinned maps what their file mode says, and nothing else. */}}
{{- define "oompolicy.agentContext" -}}
{{- $context := include "oompolicy.restricted" . | fromYaml }}
{{- $_ := set $context.capabilities "add" (list "BPF") }}
{{- $_ := set $context "seLinuxOptions" (dict "type" "spc_t") }}
{{- toYaml $context }}
{{- end }}
