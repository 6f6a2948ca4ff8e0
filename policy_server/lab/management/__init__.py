"""A Management Node that is not there: it sees and changes the meetings of the simulated Conferencing Node."""
