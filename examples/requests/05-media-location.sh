#!/bin/sh
# Where shall the customer's media go?
#
# The shipped rules have no locations, so Pexip chooses: continue.
set -eu
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"

# The customer's alias and the call id, out of a new link unless they are given: 05-media-location.sh mp… CALL
link=$([ $# -eq 2 ] || policy-server link create visit --name "Ada L" --json)
alias=${1:-$(echo "$link" | sed -n 's/^ *"alias": "\(.*\)",*$/\1/p')}
call=${2:-$(echo "$link" | sed -n 's/^ *"call": "\(.*\)",*$/\1/p')}

curl --get --silent --show-error --fail-with-body --write-out '\n' \
  --user "${POLICY_PEXIP_USERNAME:?}:${POLICY_PEXIP_PASSWORD:?}" \
  --data-urlencode 'call_direction=dial_in' \
  --data-urlencode 'protocol=webrtc' \
  --data-urlencode 'bandwidth=0' \
  --data-urlencode 'vendor=Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36' \
  --data-urlencode 'encryption=On' \
  --data-urlencode 'registered=False' \
  --data-urlencode 'trigger=web' \
  --data-urlencode 'remote_display_name=Ada L' \
  --data-urlencode 'remote_alias=Ada L' \
  --data-urlencode 'remote_address=203.0.113.45' \
  --data-urlencode 'remote_port=52344' \
  --data-urlencode 'call_tag=' \
  --data-urlencode 'idp_uuid=' \
  --data-urlencode 'has_authenticated_display_name=False' \
  --data-urlencode 'supports_direct_media=True' \
  --data-urlencode 'teams_tenant_id=' \
  --data-urlencode 'location=DMZ' \
  --data-urlencode 'node_ip=10.144.101.21' \
  --data-urlencode 'version_id=39' \
  --data-urlencode 'pseudo_version_id=83120.0.0' \
  --data-urlencode 'proxy_node_address=10.144.101.21' \
  --data-urlencode 'proxy_node_location=DMZ' \
  --data-urlencode "unique_service_name=$call" \
  --data-urlencode "service_name=$call" \
  --data-urlencode 'service_tag=contact-centre' \
  --data-urlencode 'request_id=644d4edc' \
  --data-urlencode "local_alias=$alias" \
  "${SERVER:-http://127.0.0.1:8080}/policy/v1/participant/location"
