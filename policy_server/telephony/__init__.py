"""Phone numbers, trunks and dial strings: pure."""
