{{- /* Names, labels, and what several templates say alike. */ -}}

{{- define "efx.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Short enough for what is hung onto it: `-headless`, `-deploy`, a pod's number, a revision's hash. */ -}}
{{- define "efx.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "efx.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "efx.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "efx.selector" -}}
app.kubernetes.io/name: {{ include "efx.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Labels of an object; (list root component). */ -}}
{{- define "efx.labels" -}}
{{- $root := index . 0 -}}
{{ include "efx.selector" $root }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "efx.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "efx.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "efx.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "efx.clusterId" -}}
{{- default (printf "%s.%s" .Release.Namespace (include "efx.fullname" .)) .Values.cluster.id -}}
{{- end -}}

{{- /* A majority: two halves of a broken network can never both reach it. */ -}}
{{- define "efx.minNodes" -}}
{{- if .Values.cluster.minNodes -}}
{{- .Values.cluster.minNodes -}}
{{- else -}}
{{- add (div (int .Values.replicas) 2) 1 -}}
{{- end -}}
{{- end -}}

{{- /* Longer than drain and barrier together: preStop drains, SIGTERM then hands over what is left. */ -}}
{{- define "efx.graceSeconds" -}}
{{- add (int .Values.cluster.drainTimeoutSeconds) (int .Values.cluster.barrierTimeoutSeconds) 15 -}}
{{- end -}}

{{- define "efx.hasRedis" -}}
{{- if or .Values.redis.enabled .Values.externalRedis.host .Values.externalRedis.urlSecret -}}yes{{- end -}}
{{- end -}}

{{- define "efx.redisSecret" -}}
{{- default (printf "%s-redis" (include "efx.fullname" .)) .Values.redis.auth.existingSecret -}}
{{- end -}}

{{- /* The token, if calls bear one. */ -}}
{{- define "efx.tokenEnv" -}}
{{- if .Values.auth.existingSecret -}}
- name: EFX_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret }}
      key: {{ .Values.auth.tokenKey }}
{{- end -}}
{{- end -}}

{{- /* Secrets reach a node by its environment and this file, never by its command line, which others on the
machine see. */ -}}
{{- define "efx.config" -}}
{{- if include "efx.hasRedis" . -}}
persistence:
  url: ${EFX_REDIS_URL}
{{- end }}
{{- if .Values.auth.existingSecret }}
grpc:
  auth:
    token: ${EFX_TOKEN}
{{- end }}
{{- end -}}

{{- /* EFX_REDIS_URL, and before it what it is put together from. A password is never in a manifest. */ -}}
{{- define "efx.redisEnv" -}}
{{- $x := .Values.externalRedis -}}
{{- if .Values.redis.enabled -}}
- name: EFX_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "efx.redisSecret" . }}
      key: {{ .Values.redis.auth.passwordKey }}
- name: EFX_REDIS_URL
  value: redis://:$(EFX_REDIS_PASSWORD)@{{ include "efx.fullname" . }}-redis:6379/0
{{- else if $x.urlSecret -}}
- name: EFX_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $x.urlSecret }}
      key: {{ $x.urlKey }}
{{- else if $x.host -}}
{{- $who := $x.username -}}
{{- if $x.existingSecret -}}
{{- $who = printf "%s:$(EFX_REDIS_PASSWORD)" $x.username }}
- name: EFX_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $x.existingSecret }}
      key: {{ $x.passwordKey }}
{{- end }}
- name: EFX_REDIS_URL
  value: {{ printf "%s://%s%s:%d/%d" (ternary "rediss" "redis" $x.tls) (empty $who | ternary "" (printf "%s@" $who)) $x.host (int $x.port) (int $x.db) }}
{{- end -}}
{{- end -}}

{{- /* What `efx cluster …` needs to speak to a member, as one line of a shell. */ -}}
{{- define "efx.adminOptions" -}}
{{- if .Values.auth.existingSecret }} --token "$EFX_TOKEN"{{ end -}}
{{- if .Values.tls.secretName -}}
{{- printf " --tls-ca /etc/efx/admin/ca.crt" -}}
{{- if .Values.tls.clientCaSecret -}}
{{- printf " --tls-cert /etc/efx/admin/tls.crt --tls-key /etc/efx/admin/tls.key" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "efx.adminVolume" -}}
{{- if .Values.tls.secretName -}}
- name: admin
  secret:
    secretName: {{ default .Values.tls.secretName .Values.tls.adminSecret }}
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{- define "efx.adminMount" -}}
{{- if .Values.tls.secretName -}}
- {name: admin, mountPath: /etc/efx/admin, readOnly: true}
{{- end -}}
{{- end -}}

{{- /* What a schema cannot see because it is about two values at once. */ -}}
{{- define "efx.check" -}}
{{- $n := int .Values.replicas -}}
{{- if gt (int .Values.cluster.minNodes) $n -}}
{{- fail (printf "cluster.minNodes is %d, replicas only %d" (int .Values.cluster.minNodes) $n) -}}
{{- end -}}
{{- if and (gt $n 1) (not (include "efx.hasRedis" .)) -}}
{{- fail (printf "%d replicas share their state in Redis: set redis.enabled, externalRedis.host or externalRedis.urlSecret (one replica runs without)" $n) -}}
{{- end -}}
{{- if and .Values.redis.enabled (or .Values.externalRedis.host .Values.externalRedis.urlSecret) -}}
{{- fail "redis.enabled and externalRedis exclude each other" -}}
{{- end -}}
{{- if and (not .Values.tls.secretName) (or .Values.tls.clientCaSecret .Values.tls.peerCaSecret .Values.tls.adminSecret) -}}
{{- fail "tls.clientCaSecret, tls.peerCaSecret and tls.adminSecret need tls.secretName" -}}
{{- end -}}
{{- end -}}
