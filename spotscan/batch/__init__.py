"""A folder of photos: a row for each, whatever happens on the way.

`Batch` joins the modules: `listing` and `places` (where photos lie and results go), `settings`, `work` (one
photo, in a worker), `pool` and `cluster` (the workers), `schedule` (what is done next), `journal` and `index` (what
was done), `columns`, `tables`, `summary` and `finish` (what is written of all), `progress`.
"""
