#!/bin/sh
# The customer joins the room: any changes to this participant?
#
# The answer makes the customer a guest, without asking for a PIN (rule customer of participants).
set -eu
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"

# The customer's alias and the call id, out of a new link unless they are given: 04-participant.sh mp… CALL
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
  --data-urlencode 'preauthenticated_role=' \
  --data-urlencode 'bypass_lock=False' \
  --data-urlencode 'receive_from_audio_mix=main' \
  --data-urlencode 'display_count=' \
  --data-urlencode 'participant_type=standard' \
  --data-urlencode 'participant_uuid=0d7f3c1a-8b1e-4a35-9c61-5a0f2f6e1b02' \
  --data-urlencode 'call_uuid=b3f4a0de-1c2d-4e5f-8a9b-0c1d2e3f4a52' \
  --data-urlencode 'breakout_uuid=' \
  --data-urlencode 'send_to_audio_mixes_mix_name=main' \
  --data-urlencode 'send_to_audio_mixes_prominent=False' \
  --data-urlencode "unique_service_name=$call" \
  --data-urlencode "service_name=$call" \
  --data-urlencode 'service_tag=contact-centre' \
  --data-urlencode "local_alias=$alias" \
  "${SERVER:-http://127.0.0.1:8080}/policy/v1/participant/properties"
