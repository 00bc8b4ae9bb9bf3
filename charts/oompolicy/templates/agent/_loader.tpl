{{- /* SPDX-License-Identifier: Apache-2.0 */}}

{{- /* docs/design/2026-11-22-node-contracts.md#capabilities gives the reason for each capability. */}}
{{- define "oompolicy.capabilities" -}}
{{- if include "oompolicy.loadsModule" . -}}
[CHOWN, DAC_OVERRIDE, SYSLOG, SYS_ADMIN, SYS_MODULE]
{{- else -}}
[BPF, CHOWN, DAC_OVERRIDE, PERFMON]
{{- end }}
{{- end }}

{{- define "oompolicy.proofCapabilities" -}}
[SYS_ADMIN, SYS_PTRACE]
{{- end }}

{{- /* Renders true if the loader makes the proof. A loader of the module has SYS_ADMIN and SYS_MODULE anyway, so by default
       it does. Otherwise the proof would widen the loader's rights, and you have to ask for it. --reuse-values has no
       proof in older values. */}}
{{- define "oompolicy.makesProof" -}}
{{- $enabled := dig "enabled" "auto" (.Values.proof | default dict) | toString }}
{{- if and (eq $enabled "true") (has .Values.hook.source (list "scores" "none")) }}
{{- fail (printf "proof.enabled is true and hook.source is %s, with which no loader makes a proof: set hook.source to auto, module or kernel, or remove proof.enabled" .Values.hook.source) }}
{{- end }}
{{- if and (ne $enabled "false") (or (include "oompolicy.loadsModule" .) (eq $enabled "true")) }}true{{ end }}
{{- end }}

{{- define "oompolicy.loaderCapabilities" -}}
{{- $own := include "oompolicy.capabilities" . | fromYamlArray }}
{{- if include "oompolicy.makesProof" . }}
{{- $own = concat $own (include "oompolicy.proofCapabilities" . | fromYamlArray) | uniq | sortAlpha }}
{{- end }}
{{- toJson $own }}
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
  # one place. Some distributions have absolute links to /usr/src, which the image links to this place.
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
{{- end }}

{{- define "oompolicy.load" -}}
- name: loader
  image: {{ include "oompolicy.image" (list . "loader") }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [oompolicy-loader]
  args:
    - attach
    {{- /* helm upgrade --reuse-values has no settings in the values of an earlier release. */}}
    - --mode={{ (.Values.settings | default dict).mode | default "Audit" }}
    {{- if include "oompolicy.loadsModule" . }}
    - --module={{ include "oompolicy.modulePath" . }}
    {{- end }}
    {{- if include "oompolicy.makesProof" . }}
    - --cgroup-namespace=/host/ns/cgroup
    {{- else }}
    - --no-proof
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
    {{- include "oompolicy.privileged" (include "oompolicy.loaderCapabilities" . | fromYamlArray) | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    {{- include "oompolicy.loaderMounts" . | nindent 4 }}
    {{- if include "oompolicy.makesProof" . }}
    # The proof makes a cgroup of its own outside of this container, and enters the host's cgroup namespace for it.
    - {name: cgroup, mountPath: /sys/fs/cgroup}
    - {name: namespaces, mountPath: /host/ns, readOnly: true}
    {{- else }}
    - {name: cgroup, mountPath: /sys/fs/cgroup, readOnly: true}
    {{- end }}
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
