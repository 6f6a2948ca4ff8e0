#!/bin/sh
# A registered app searches the directory.
#
# The shipped rules have no directory, so the list is empty, and Pexip adds its own entries.
set -eu
cd "$(dirname "$0")/../.."

curl --get --silent --show-error --fail-with-body --write-out '\n' \
  --user "${POLICY_PEXIP_USERNAME:?}:${POLICY_PEXIP_PASSWORD:?}" \
  --data-urlencode 'q=ali & bob' \
  --data-urlencode 'registration_alias=carol@video.example.com' \
  --data-urlencode 'limit=10' \
  --data-urlencode 'location=London' \
  --data-urlencode 'node_ip=10.144.101.21' \
  --data-urlencode 'version_id=39' \
  --data-urlencode 'pseudo_version_id=83120.0.0' \
  --data-urlencode 'call_tag=' \
  "${SERVER:-http://127.0.0.1:8080}/policy/v1/registrations"
