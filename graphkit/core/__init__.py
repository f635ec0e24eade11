"""What every room stands on: records, errors, argument checks, random generators."""
