{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* docs/design/2026-11-22-node-contracts.md#capabilities has a reason for each. */}}
{{- define "oompolicy.capabilities" -}}
{{- if eq .Values.hook.source "module" -}}
[CHOWN, DAC_OVERRIDE, SYSLOG, SYS_ADMIN, SYS_MODULE]
{{- else -}}
[BPF, CHOWN, DAC_OVERRIDE, PERFMON]
{{- end }}
{{- end }}

{{- define "oompolicy.buildsModule" -}}
{{- if and (eq .Values.hook.source "module") (eq .Values.hook.module.from "headers") }}true{{ end }}
{{- end }}

{{- define "oompolicy.hostModule" -}}
{{- if and (eq .Values.hook.source "module") (eq .Values.hook.module.from "host") }}true{{ end }}
{{- end }}

{{- /* The folder of the host that has the modules of all releases, with a slash at its end. */}}
{{- define "oompolicy.moduleFolder" -}}
{{- regexFind "^[^%]*/" .Values.hook.module.path }}
{{- end }}

{{- define "oompolicy.modulePath" -}}
{{- if include "oompolicy.buildsModule" . -}}
/module/oompolicy_hook.ko
{{- else if include "oompolicy.hostModule" . -}}
/host/module/{{ .Values.hook.module.path | trimPrefix (include "oompolicy.moduleFolder" .) }}
{{- else -}}
{{ .Values.hook.module.path }}
{{- end }}
{{- end }}

{{- /* Before the loader and without its capabilities: a compiler needs none. */}}
{{- define "oompolicy.build" -}}
- name: build
  image: {{ include "oompolicy.image" (list . "loader") }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [oompolicy-loader]
  # Links below /usr/lib/modules lead by way of ../../../src and back to ../../lib, so all of /usr has to be in one
  # place; Debian's headers name /usr/src besides.
  args: [build, --headers=/host/usr/lib/modules/%r/build, --module=/module/oompolicy_hook.ko]
  env:
    # The image's is read-only.
    - name: TMPDIR
      value: /module
  resources:
    {{- toYaml .Values.agent.loaderResources | nindent 4 }}
  securityContext:
    {{- include "oompolicy.restricted" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - {name: module, mountPath: /module}
    - {name: usr, mountPath: /host/usr, readOnly: true}
    - {name: sources, mountPath: /usr/src, readOnly: true}
{{- end }}

{{- define "oompolicy.load" -}}
- name: loader
  image: {{ include "oompolicy.image" (list . "loader") }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [oompolicy-loader]
  args:
    - attach
    - --host-priority={{ .Values.hook.hostPriority | int }}
    {{- if eq .Values.hook.source "module" }}
    - --module={{ include "oompolicy.modulePath" . }}
    {{- end }}
  resources:
    {{- toYaml .Values.agent.loaderResources | nindent 4 }}
  securityContext:
    {{- include "oompolicy.privileged" (include "oompolicy.capabilities" . | fromYamlArray) | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    {{- include "oompolicy.loaderMounts" . | nindent 4 }}
    - {name: cgroup, mountPath: /sys/fs/cgroup, readOnly: true}
    - {name: state, mountPath: /var/lib/oompolicy}
    {{- if include "oompolicy.buildsModule" . }}
    - {name: module, mountPath: /module, readOnly: true}
    {{- end }}
    {{- if include "oompolicy.hostModule" . }}
    - {name: host-module, mountPath: /host/module, readOnly: true}
    {{- end }}
    # Why the kernel refuses a module, or any program.
    - {name: lockdown, mountPath: /sys/kernel/security, readOnly: true}
{{- end }}

{{- /* What the loader writes, whether it attaches or detaches. */}}
{{- define "oompolicy.loaderMounts" -}}
- {name: bpffs, mountPath: /sys/fs/bpf}
- {name: run, mountPath: /run/oompolicy}
{{- end }}

{{- define "oompolicy.loaderVolumes" -}}
- name: bpffs
  hostPath: {path: /sys/fs/bpf, type: Directory}
- name: run
  hostPath: {path: /run/oompolicy, type: DirectoryOrCreate}
{{- end }}
