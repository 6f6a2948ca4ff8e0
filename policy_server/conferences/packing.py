"""Events and timeline entries as they lie in the database: JSON, packed to a third.

A message of a thousand characters is packed alone, so the packer is told beforehand what all of them say; and the name
under which a row is found, which messages repeat and nothing packs well, is left out of it.
"""

import zlib
from typing import Any, Final

from policy_server.conferences.tables import decode, encode_bytes

_WORDS: Final = (
    # Timelines.
    b'["link.revoked",{"text":"The link was revoked by \'"["link.previewed",{"text":"A preview of the link was fetched ('
    b'). That was not the customer."["link.created",{"text":"The link was made by \'\'.","by":""type":'
    b'["link.opened",{"text":"A customer opened the link and was let in outside opening hours after it had expired",'
    b'"door":"open"}]"closed"["agent.looked_up",{"text":" looked up the conference.","agent":{"id":""name":""},'
    b'"conversation":"'
    b'["policy.answered",{"text":"A node asked which service the alias is: served, by rule \'\'.","decision_id":"'
    b'"question":"service","outcome":"serve","rule":"","revision":"","call_direction":"dial_in","protocol":"webrtc",'
    b'"result":{"service_type":"conference","service_tag":"","name":"","description":"","view":"one_main_seven_pips",'
    b'"participant_limit":"ivr_theme_name":"allow_guests":true,"pin":"****","guest_pin":"****",'
    b'"automatic_participants":[{"remote_alias":"","local_alias":"","local_display_name":"","protocol":"sip",'
    b'"call_type":"audio","role":"chair","keep_conference_alive":"keep_conference_alive_never","routing":"routing_rule"}]},'
    b'["policy.answered",{"text":"A node asked where the media goes: left to Pexip, as no rule matched.","decision_id":"'
    b'"question":"location","outcome":"continue","rule":null,"revision":"'
    b'["policy.answered",{"text":"A node asked whether to change the participant: left to Pexip, as no rule matched.",'
    b'"decision_id":"","question":"participant","outcome":"continue","rule":null,"revision":"","call_direction":"dial_in",'
    b'"protocol":"api","location":"","local_alias":"","remote_alias":"","service_name":"","call":"",'
    b'"remote_display_name":""}]'
    # What is said in other messages than the usual ones (pexip/README.md: Media events, Participant events).
    b'participant_media_streams_destroyed"participant_media_stream_window"media_streams":[{"stream_id":"stream_type":"audio"'
    b'"video""presentation""packet_loss_history":[{"recent_quality":"quality":"applicationsharing":null,"time_delta":'
    b'"call_quality_was":"1_good","call_quality_now":"0_unknown"2_ok"3_bad"4_terrible"rx_bitrate":"rx_codec":"rx_fps":'
    b'"rx_resolution":"rx_packets_received":"rx_packets_lost":"rx_packet_loss":"tx_bitrate":"tx_codec":"tx_fps":'
    b'"tx_resolution":"tx_packets_sent":"tx_packets_lost":"tx_packet_loss":"license_count":"eventsink_started",'
    b'"lecture""gateway""test_call""waiting_room""ivr""H323""TEAMS""MSSIP""RTMP"'
    b"Conference terminated by an administratorTimeout waiting for conference host to join or permit access"
    b"Call rejectedUnexpected Response: 503Resource unavailableNo participants can keep conference alive"
    # Messages of nodes (pexip/README.md: Conference events, Participant events).
    b'"conference_updated","conference_started",{"name":"","service_type":"conference","start_time":17,"tag":"",'
    b'"is_locked":false,"is_started":true,"guests_muted":false}"conference_ended""end_time":17'
    b'"participant_updated","participant_connected",'
    b'"vendor":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 '
    b'Mobile/15E148 Safari/604.1"(Linux; Android 10; K) (Macintosh; Intel Mac OS X 10_15_7) Gecko/20100101 Firefox/'
    b'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",'
    b'"participant_disconnected",{"uuid":"","conference":"","display_name":"","source_alias":"","destination_alias":"",'
    b'"call_direction":"out","protocol":"SIP","role":"chair","role":"unknown","call_direction":"in","role":"guest",'
    b'"service_type":"conference","service_tag":"","call_tag":"","call_id":"","conversation_id":"","related_uuids":[""],'
    b'"connect_time":17,"encryption":"On","is_muted":false,"is_client_muted":false,"is_presenting":false,'
    b'"is_streaming":false,"is_idp_authenticated":false,"media_node":"","signalling_node":"","proxy_node":"",'
    b'"system_location":"","remote_address":"","rx_bandwidth":64,"tx_bandwidth":64,"rx_bandwidth":0,"tx_bandwidth":0,'
    b'"protocol":"API","has_media":false,"protocol":"WebRTC","has_media":true,"vendor":"","related_uuids":[],'
    b'"disconnect_reason":"Call disconnected","end_time":17,"duration":'
)
"""What messages often say, the most frequent last. It belongs to the format: with other words nothing can be read."""

_WINDOW: Final = -12
"""Raw, without a header and a checksum; 4 KiB, so that all words are just within reach: for each row a packer is copied, and
with twice as much the copy costs a third of the packing.
"""

_PACKER: Final = zlib.compressobj(level=3, wbits=_WINDOW, memLevel=5, zdict=_WORDS)
_UNPACKER: Final = zlib.decompressobj(wbits=_WINDOW, zdict=_WORDS)


_OWN_NAME: Final = b"\0"
"""What stands for the name. JSON has no such byte."""


def pack(value: object, name: str) -> bytes:
    """JSON of a value, packed, for a row that is found by a name. Raises TypeError for what is not JSON."""
    return pack_text(encode_bytes(value), name)


def pack_text(text: bytes, name: str) -> bytes:
    """What ``pack`` makes of a value, for one whose JSON is there already."""
    packer = _PACKER.copy()
    return packer.compress(text.replace(name.encode(), _OWN_NAME) if name else text) + packer.flush()


def unpack(packed: bytes, name: str) -> Any:
    """The value that was packed for a row with this name."""
    return decode(_UNPACKER.copy().decompress(packed).replace(_OWN_NAME, name.encode()))
