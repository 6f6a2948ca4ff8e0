"""What an agent sees of a conference."""

from policy_server.conferences.view import masked


def test_masked_data() -> None:
    """PINs and passwords are masked however deep they are, nothing else is changed."""
    data = {
        "result": {"pin": "1234", "guest_pin": "", "legs": [{"dtmf_sequence": "99#", "role": "chair"}], "n": 1},
        "password": "x",
        "pins": "shown",
    }
    assert masked(data) == {
        "result": {"pin": "****", "guest_pin": "", "legs": [{"dtmf_sequence": "****", "role": "chair"}], "n": 1},
        "password": "****",
        "pins": "shown",
    }
