"""The pages under ``/admin/`` for Pexip admins: which rules run and what they did."""
