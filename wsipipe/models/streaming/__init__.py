"""Networks over large areas in bands of rows, without computing a pixel twice.

Bands carry the rows at their border from one to the next, layer by layer; the result is that of one pass.
"""
