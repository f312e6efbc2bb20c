{{- define "auditsite.name" -}}
{{- if contains "auditsite" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-auditsite{{ end -}}
{{- end }}

{{- define "auditsite.selector" -}}
app.kubernetes.io/name: auditsite
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "auditsite.labels" -}}
{{ include "auditsite.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "auditsite.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Our names, and those of our Services, for writers in the cluster. */}}
{{- define "auditsite.hosts" -}}
{{- $hosts := list (required "serverName: the name that people and writers call" .Values.serverName) }}
{{- with .Values.ingress.writersName }}{{ $hosts = append $hosts . }}{{ end }}
{{- range $process := list "web" "ingest" }}
{{- $service := printf "%s-%s" (include "auditsite.name" $) $process }}
{{- $hosts = concat $hosts (list $service (printf "%s.%s" $service $.Release.Namespace)) }}
{{- $hosts = append $hosts (printf "%s.%s.svc" $service $.Release.Namespace) }}
{{- end }}
{{- concat $hosts .Values.allowedHosts | uniq | join "," }}
{{- end }}

{{- /* The same variables as in docker-compose.yml, which tests/deploy/test_chart.py compares. */}}
{{- define "auditsite.environment" -}}
- {name: DATABASE_URL_FILE, value: /run/secrets/database_url}
- {name: DATABASE_READER_URL_FILE, value: /run/secrets/database_reader_url}
{{- if ne .process "migrate" }}
# Only the migration has its password.
- {name: DATABASE_OWNER_URL, value: "postgresql://audit_owner@postgres/audit"}
{{- end }}
- {name: SECRET_KEY_FILE, value: /run/secrets/secret_key}
- {name: REDIS_URL_FILE, value: {{ printf "/run/secrets/redis_%s_url" (.process | replace "ingest" "web") }}}
- {name: QUEUE_URL_FILE, value: /run/secrets/redis_queue_url}
- {name: CACHE_URL_FILE, value: /run/secrets/redis_cache_url}
- {name: ALLOWED_HOSTS, value: {{ include "auditsite.hosts" .root | quote }}}
- {name: PROXY_HOPS, value: {{ .root.Values.proxyHops | quote }}}
- {name: SEAL_PUBLIC_KEYS_DIR, value: /keys/public}
- {name: RECEIPT_PUBLIC_KEYS_DIR, value: /keys/public}
- {name: PROMETHEUS_MULTIPROC_DIR, value: /tmp/metrics}
- {name: METRICS_PORT, value: "9100"}
- {name: DLQ_SPOOL_DIR, value: /spool}
- {name: EXPORT_DIR, value: /exports}
{{- if has .process (list "migrate" "worker" "seal") }}
- {name: SEAL_KEY_DIR, value: /keys/log}
- {name: SEAL_ANCHOR_FILE, value: /anchor/checkpoints.jsonl}
{{- end }}
{{- if eq .process "stream" }}
- {name: STREAMS_FILE, value: /run/secrets/streams.toml}
{{- end }}
{{- if has .process (list "migrate" "web" "ingest" "worker") }}
- {name: RECEIPT_KEY_DIR, value: /keys/receipt}
{{- end }}
{{- if eq .process "migrate" }}
- {name: DATABASE_OWNER_URL_FILE, value: /run/secrets/database_owner_url}
{{- if .root.Values.migrate.roles }}
- {name: DATABASE_ADMIN_URL_FILE, value: /run/secrets/database_admin_url}
{{- end }}
- {name: SERVER_NAME, value: {{ .root.Values.serverName | quote }}}
- {name: LOG_ORIGIN, value: {{ .root.Values.logOrigin | quote }}}
{{- end }}
{{- range $name, $value := .root.Values.settings }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- range $name, $place := .root.Values.secretSettings }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $place.secret | quote }}, key: {{ $place.key | quote }}}}
{{- end }}
{{- end }}

{{- /* Where each claim is mounted, in the pods of each process; those of keys to be read, but by the migration. */}}
{{- define "auditsite.mounts" -}}
{{- $where := dict "keyLog" "/keys/log" "keyReceipt" "/keys/receipt" "keysPublic" "/keys/public" "anchor" "/anchor" "exports" "/exports" "spool" "/spool" "lake" "/lake" }}
{{- $all := list "keyLog" "keyReceipt" "keysPublic" "anchor" "exports" "spool" }}
{{- $web := list "keyReceipt" "keysPublic" "exports" "spool" }}
{{- $seal := list "keyLog" "keysPublic" "anchor" "spool" }}
{{- $of := dict "migrate" $all "worker" $all "web" $web "ingest" $web "seal" $seal "drain" (list "keysPublic" "spool") "stream" (list "keysPublic" "lake" "spool") }}
{{- $mounts := dict }}
{{- range $claim := get $of .process }}
{{- if get $.root.Values.claims $claim }}{{ $_ := set $mounts $claim (get $where $claim) }}{{ end }}
{{- end }}
{{- $mounts | toJson }}
{{- end }}

{{- define "auditsite.pod-security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "auditsite.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "auditsite.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {name: {{ . }}}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- /* The spec of a pod: root, process, command, and what else its container has. */}}
{{- define "auditsite.pod" -}}
{{- $root := .root }}
{{- $mounts := include "auditsite.mounts" . | fromJson }}
automountServiceAccountToken: false
enableServiceLinks: false
# Its first process takes over what others left, as `init` of compose does.
shareProcessNamespace: true
securityContext: {{ include "auditsite.pod-security" . | nindent 2 }}
{{- with include "auditsite.placement" $root }}
{{ . | trim }}
{{- end }}
containers:
  - name: {{ .process }}
    image: {{ include "auditsite.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: {{ toJson .command }}
    securityContext: {{ include "auditsite.container-security" . | nindent 6 }}
    env: {{ include "auditsite.environment" . | nindent 6 }}
    resources: {{ toJson (get $root.Values .process).resources }}
    {{- with .container }}
    {{- . | nindent 4 }}
    {{- end }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: metrics, mountPath: /tmp/metrics}
      - {name: secrets, mountPath: /run/secrets, readOnly: true}
      {{- range $claim, $path := $mounts }}
      - {name: {{ kebabcase $claim }}, mountPath: {{ $path }}{{ if and (hasPrefix "key" $claim) (ne $.process "migrate") }}, readOnly: true{{ end }}}
      {{- end }}
      {{- range $root.Values.extraVolumeMounts }}
      - {{ toJson . }}
      {{- end }}
volumes:
  # What has not come whole yet, and answers that are taken slowly, wait in files.
  - {name: tmp, emptyDir: {sizeLimit: 512Mi}}
  - {name: metrics, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
  - {name: secrets, secret: {secretName: {{ get $root.Values.secrets (.process | replace "ingest" "web") | quote }}, defaultMode: 288}} # 0440
  {{- range $claim, $path := $mounts }}
  - {name: {{ kebabcase $claim }}, persistentVolumeClaim: {claimName: {{ get $root.Values.claims $claim | quote }}}}
  {{- end }}
  {{- range $root.Values.extraVolumes }}
  - {{ toJson . }}
  {{- end }}
{{- end }}

{{- /* A Deployment: root, process, command, replicas (0: somebody scales it), grace in seconds, container. */}}
{{- define "auditsite.deployment" -}}
{{- $root := .root }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "auditsite.name" $root }}-{{ .process }}
  labels: {{ include "auditsite.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .process }}
spec:
  {{- if .replicas }}
  replicas: {{ .replicas }}
  {{- end }}
  strategy: {{ .strategy | default "{type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}" }}
  selector:
    matchLabels: {{ include "auditsite.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .process }}
  template:
    metadata:
      labels: {{ include "auditsite.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .process }}
      {{- with $root.Values.podAnnotations }}
      annotations: {{ toJson . }}
      {{- end }}
    spec:
      terminationGracePeriodSeconds: {{ .grace }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{ include "auditsite.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .process }}
      {{- include "auditsite.pod" . | nindent 6 }}
{{- end }}

{{- /* Probes of what answers requests: no name of a host is asked for at these two paths. */}}
{{- define "auditsite.answers" -}}
ports: [{name: http, containerPort: 8000}]
startupProbe: {httpGet: {path: /livez, port: http}, periodSeconds: 2, failureThreshold: 60}
livenessProbe: {httpGet: {path: /livez, port: http}, periodSeconds: 15, timeoutSeconds: 2, failureThreshold: 3}
# 200 while an event can be kept anywhere: a database that is away takes nobody out of the Service.
readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 3}
# Requests still come until every node knows that this pod ends.
lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
{{- end }}

{{- /* Of what does not: its counters answer as long as the process runs. */}}
{{- define "auditsite.counts" -}}
ports: [{name: metrics, containerPort: 9100}]
startupProbe: {httpGet: {path: /, port: metrics}, periodSeconds: 2, failureThreshold: 60}
livenessProbe: {httpGet: {path: /, port: metrics}, periodSeconds: 15, timeoutSeconds: 2, failureThreshold: 3}
{{- end }}
