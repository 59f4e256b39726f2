"""Policy on Cedar: bundles are read, checked, decided by and tested here."""
