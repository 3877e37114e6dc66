"""Operations that the service runs, one module per family."""
