#!/bin/sh
# A room system dials an alias that no rule knows.
#
# Pexip's own conferences and Call Routing Rules decide: continue, and rule is null.
set -eu
cd "$(dirname "$0")/../.."

curl --get --silent --show-error --fail-with-body --write-out '\n' \
  --user "${POLICY_PEXIP_USERNAME:?}:${POLICY_PEXIP_PASSWORD:?}" \
  --data-urlencode 'call_direction=dial_in' \
  --data-urlencode 'protocol=sip' \
  --data-urlencode 'bandwidth=0' \
  --data-urlencode 'vendor=Cisco/CE 11.9.2' \
  --data-urlencode 'encryption=On' \
  --data-urlencode 'registered=False' \
  --data-urlencode 'trigger=invite' \
  --data-urlencode 'remote_display_name=Alice Ødegård' \
  --data-urlencode 'remote_alias=sip:alice@video.example.com' \
  --data-urlencode 'remote_address=10.44.151.5' \
  --data-urlencode 'remote_port=58435' \
  --data-urlencode 'call_tag=' \
  --data-urlencode 'idp_uuid=' \
  --data-urlencode 'has_authenticated_display_name=False' \
  --data-urlencode 'supports_direct_media=False' \
  --data-urlencode 'teams_tenant_id=' \
  --data-urlencode 'location=London' \
  --data-urlencode 'node_ip=10.144.101.21' \
  --data-urlencode 'version_id=38' \
  --data-urlencode 'pseudo_version_id=81500.0.0' \
  --data-urlencode 'local_alias=sip:meet.alice@video.example.com;transport=tls' \
  --data-urlencode 'p_Asserted-Identity=["\"Alice Ødegård\"<sip:alice@video.example.com>"]' \
  --data-urlencode 'ms-subnet=["10.47.5.0"]' \
  "${SERVER:-http://127.0.0.1:8080}/policy/v1/service/configuration"
