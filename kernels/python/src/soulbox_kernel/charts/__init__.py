"""Charts: the data of a figure as JSON (contract section 5.4).

`figure` is the entrance for matplotlib: one file per chart type, each a function from an axes to
the type's own keys; `kind` decides which one an axes is, `axis` knows labels, ticks and scales,
`values` turns what was plotted into JSON. `plotly` does the same for its figures. Nothing here
draws or changes a figure, and nothing may fail an execution: an axes that can't be understood is
`unknown`, and a figure with more than `MAX_POINTS` points has no chart at all.
"""
