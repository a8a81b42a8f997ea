"""What tests share: programs and processes of the machine they run on."""
