#!/bin/sh
# A SIP device registers: may it?
#
# The shipped rules have no registrations, so Pexip's own device list decides: continue.
set -eu
cd "$(dirname "$0")/../.."

curl --get --silent --show-error --fail-with-body --write-out '\n' \
  --user "${POLICY_PEXIP_USERNAME:?}:${POLICY_PEXIP_PASSWORD:?}" \
  --data-urlencode 'protocol=sip' \
  --data-urlencode 'location=London' \
  --data-urlencode 'node_ip=10.144.101.21' \
  --data-urlencode 'remote_address=192.0.2.40' \
  --data-urlencode 'auth_type="credentials"' \
  --data-urlencode 'version_id=39' \
  --data-urlencode 'pseudo_version_id=83120.0.0' \
  "${SERVER:-http://127.0.0.1:8080}/policy/v1/registrations/room3%40video.example.com"
