"""What streams' own headers and first packets say: functions over bytes."""
