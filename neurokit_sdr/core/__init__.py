"""What every other room stands on; knows no method and imports no room."""
