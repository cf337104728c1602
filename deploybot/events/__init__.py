"""What an event means: who is told, what is deployed by itself, what is looked for, and who else hears of it."""
