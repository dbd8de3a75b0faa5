"""Files of finished results for other programs, one module per format.

``formats`` lists them, ``source`` reads the result, ``target`` writes the file in one step.
"""
