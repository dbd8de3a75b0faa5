"""What the page of a slide shows: pictures, nuclei, areas and requests.

``content`` collects it in the worker that finishes the slide, where slide and arrays are at hand;
``pipeline/reporting/slide_page`` makes the page of it.
"""
