"""From what the jobs have left to sections of the report and verdicts on claims."""
