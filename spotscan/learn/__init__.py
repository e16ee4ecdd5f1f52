"""How the small CNN is made and judged; nothing of it runs in a scan.

`config` (what a run is asked to do), `prepared` (crops on disk), `network`, `training`, `calibration`, `metrics`,
`baselines`, `evaluation`, `export`. Only `network`, `training` and `export` load torch (extra ``train``);
`import spotscan` loads none of this.
"""
