{{/* Names are the same in every installation: one in a namespace. certgen puts them into certificates. */}}

{{- define "switchyard.labels" -}}
app.kubernetes.io/name: switchyard
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Call with (list . "component"). */}}
{{- define "switchyard.selector" -}}
app.kubernetes.io/name: switchyard
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Peers of a NetworkPolicy: every pod but Envoy's. */}}
{{- define "switchyard.notEnvoy" -}}
- podSelector:
    matchExpressions:
    - {key: app.kubernetes.io/component, operator: NotIn, values: [envoy]}
- podSelector:
    matchExpressions:
    - {key: app.kubernetes.io/name, operator: NotIn, values: [switchyard]}
- namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: [{{ .Release.Namespace }}]}
{{- with .Values.networkPolicy.metricsFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "switchyard.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Of everything that is not namespaced. */}}
{{- define "switchyard.clusterName" -}}
switchyard:{{ .Release.Namespace }}
{{- end }}

{{- define "switchyard.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "switchyard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "switchyard.pullSecrets" -}}
{{- range .Values.imagePullSecrets }}
- name: {{ . }}
{{- end }}
{{- end }}

{{/* What an operator may say of pods: call with the values of one part. */}}
{{- define "switchyard.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
