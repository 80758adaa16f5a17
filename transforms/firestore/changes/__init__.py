"""What Listen sends, made into changes of which none is missing and none comes in the wrong order. Plain Python."""
