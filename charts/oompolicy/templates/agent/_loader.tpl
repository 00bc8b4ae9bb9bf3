{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* docs/design/2026-11-22-node-contracts.md#capabilities gives the reason for each capability. */}}
{{- define "oompolicy.capabilities" -}}
{{- if include "oompolicy.loadsModule" . -}}
[CHOWN, DAC_OVERRIDE, SYSLOG, SYS_ADMIN, SYS_MODULE]
{{- else -}}
[BPF, CHOWN, DAC_OVERRIDE, PERFMON]
{{- end }}
{{- end }}

{{- /* Renders true if the loader loads the module where the kernel does not contain the hook. */}}
{{- define "oompolicy.loadsModule" -}}
{{- if has .Values.hook.source (list "auto" "module") }}true{{ end }}
{{- end }}

{{- define "oompolicy.buildsModule" -}}
{{- if and (include "oompolicy.loadsModule" .) (eq .Values.hook.module.from "headers") }}true{{ end }}
{{- end }}

{{- define "oompolicy.hostModule" -}}
{{- if and (include "oompolicy.loadsModule" .) (eq .Values.hook.module.from "host") }}true{{ end }}
{{- end }}

{{- /* The folder of the host with the modules of all kernel releases. It ends with a slash. */}}
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

{{- /* Builds the module before the loader runs. A compiler needs no capabilities. */}}
{{- define "oompolicy.build" -}}
- name: build
  image: {{ include "oompolicy.image" (list . "loader") }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [oompolicy-loader]
  # Links below /usr/lib/modules point to ../../../src and from there back to ../../lib, so all of /usr is mounted in
  # one place. Debian's headers also contain the absolute path /usr/src.
  args: [build, --headers=/host/usr/lib/modules/%r/build, --module=/module/oompolicy_hook.ko]
  env:
    # The file system of the image is read-only.
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
    {{- /* helm upgrade --reuse-values has no settings in the values of an earlier release. */}}
    - --mode={{ (.Values.settings | default dict).mode | default "Audit" }}
    {{- if include "oompolicy.loadsModule" . }}
    - --module={{ include "oompolicy.modulePath" . }}
    {{- end }}
    {{- with .Values.agent.loaderExtraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.agent.loaderExtraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
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
    # The loader reads the lockdown state here, to report why the kernel refuses a module or a program.
    - {name: lockdown, mountPath: /sys/kernel/security, readOnly: true}
{{- end }}

{{- /* The folders that the loader writes to when it attaches or detaches. */}}
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
