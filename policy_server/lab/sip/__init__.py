"""The SIP trunk, both ends of it, by SIPp."""
