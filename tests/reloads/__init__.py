"""``make reloads``: a thousand reloads under a load of questions, a third of them broken."""
