#!/bin/sh
# Ten seconds later the room dials the contact centre: which service is that?
#
# Pexip names the room by service_name; the answer must be the room as the customer got it (rule customer). Any other
# answer, and the call to the contact centre is not placed.
set -eu
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"

# The call id, out of a new link unless one is given: 03-dial-out.sh CALL
call=${1:-$(policy-server link create visit --name "Ada L" --json | sed -n 's/^ *"call": "\(.*\)",*$/\1/p')}

curl --get --silent --show-error --fail-with-body --write-out '\n' \
  --user "${POLICY_PEXIP_USERNAME:?}:${POLICY_PEXIP_PASSWORD:?}" \
  --data-urlencode 'call_direction=dial_out' \
  --data-urlencode 'protocol=sip' \
  --data-urlencode 'bandwidth=0' \
  --data-urlencode 'vendor=' \
  --data-urlencode 'encryption=Unknown' \
  --data-urlencode 'registered=False' \
  --data-urlencode 'trigger=unspecified' \
  --data-urlencode 'remote_display_name=Contact centre' \
  --data-urlencode 'remote_alias=99+13129998045' \
  --data-urlencode 'remote_address=' \
  --data-urlencode 'remote_port=' \
  --data-urlencode 'call_tag=' \
  --data-urlencode 'idp_uuid=' \
  --data-urlencode 'has_authenticated_display_name=False' \
  --data-urlencode 'supports_direct_media=False' \
  --data-urlencode 'teams_tenant_id=' \
  --data-urlencode 'location=DMZ' \
  --data-urlencode 'node_ip=10.144.101.21' \
  --data-urlencode 'version_id=39' \
  --data-urlencode 'pseudo_version_id=83120.0.0' \
  --data-urlencode "local_alias=$call@video.example.com" \
  --data-urlencode "unique_service_name=$call" \
  --data-urlencode "service_name=$call" \
  --data-urlencode 'service_tag=contact-centre' \
  "${SERVER:-http://127.0.0.1:8080}/policy/v1/service/configuration"
