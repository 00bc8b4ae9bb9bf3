{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* The restricted context, and the capability BPF. With it the default seccomp profile allows bpf(2). The user is
       not root, so the capability is only in the bounding set: the process does not have it and cannot get it. The
       kernel therefore allows only access to pinned maps, by their file mode. */}}
{{- define "oompolicy.agentContext" -}}
{{- $context := include "oompolicy.restricted" . | fromYaml }}
{{- $_ := set $context.capabilities "add" (list "BPF") }}
{{- $_ := set $context "seLinuxOptions" (dict "type" "spc_t") }}
{{- toYaml $context }}
{{- end }}
