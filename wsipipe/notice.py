"""What a person has to know wherever results are shown."""

NOTICE = "Research use only. Not a medical device."
