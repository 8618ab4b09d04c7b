{{/* What every object is labelled with. Takes `root`, and `service` and `role` where it is of one. */}}
{{- define "todo.labels" -}}
{{ include "todo.ours" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* What is this chart's among all that an installation has: beside it can be databases under the same instance. */}}
{{- define "todo.ours" -}}
{{ include "todo.selector" . }}
app.kubernetes.io/part-of: todo
{{- end }}

{{/* By what pods are chosen: it never changes. */}}
{{- define "todo.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .service }}
app.kubernetes.io/name: {{ . }}
{{- end }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* The name of a Secret: `which` of `secrets`, for a service. */}}
{{- define "todo.secret" -}}
{{ tpl (get .root.Values.secrets .which) (dict "release" .root.Release.Name "service" .service "Template" .root.Template) }}
{{- end }}

{{- define "todo.image" -}}
{{ .root.Values.image.repository }}-{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- with get .root.Values.image.digests .service }}@{{ . }}{{ end }}
{{- end }}

{{/* Pod Security "restricted", and more: nothing can be written but /tmp. */}}
{{- define "todo.pod" -}}
serviceAccountName: {{ .root.Release.Name }}-{{ .service }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "todo.container" -}}
image: {{ include "todo.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- with .it.mounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "todo.volumes" -}}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- with .it.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where a service is reached inside the cluster. */}}
{{- define "todo.address" -}}
http://{{ .root.Release.Name }}-{{ .service }}.{{ .root.Release.Namespace }}.svc:8080
{{- end }}
