"""The tasks of the table on real data whose target is the discharge of a basin, without past discharge."""

from __future__ import annotations

from real_task import SHARES, Task, source

SALMON = "{data}/lumped_basins/salmon_river.csv"
MOSELLE_KM2 = 13168.0  # 823 cells of 4 km

OWN_RATES = {"exp-hydro": 0.05, "mc-lstm": 0.01}  # few weights with a meaning need larger steps

GAUGE_TASKS: tuple[Task, ...] = (
    Task(
        name="moselle-gauge",
        title="Discharge of the Moselle, without past discharge",
        pack="mhm_moselle",
        question="Observed discharge at gauge 398 from rain, temperature and PET on the cells of 24 km on which they "
        "were made; learned on 1990-1992, judged on 1993.",
        prepare={
            "name": "moselle-gauge",
            "sources": [
                *(
                    source(name, "{data}/mhm_moselle/forcing_24km_1989_1993.nc", kind, name)
                    for name, kind in (("pre", "precipitation"), ("tavg", "temperature"), ("pet", "pet"))
                ),
                source("q_obs", "{data}/mhm_moselle/gauge_00398_m3s.csv", "runoff", "q_obs_m3s", "target",
                        units="m3/s", area_km2=MOSELLE_KM2, crs="EPSG:3035",
                        points={"gridding": "gauges", "place": [4058119.0, 2935597.0]}),
            ],
            "grid": {"like": "pre"},
            "mask": "{data}/mhm_moselle/static/basin_mask_4km.tif",
            "start": "1989-01-01",
        },
        train={
            "target": "q_obs",
            "inputs": ["pre", "tavg", "pet"],
            "window": 180, "warm_up": 180,
            "split": {
                "train": {"start": "1989-01-01", "end": "1992-09-30"},
                "validation": {"start": "1992-10-01", "end": "1992-12-31"},
                "test": {"start": "1993-01-01", "end": "1993-12-31"},
            },
            "training": {"supervised_steps": 120, "window_stride": 31, "batch": 4},
        },
        learning_rate=OWN_RATES,
        gauges=True,
        goal=0.698,
        published="the goal is 0.698",
    ),
    Task(
        name="lievre",
        title="Discharge of the Lievre, without past discharge",
        pack="vic_lievre",
        question="Observed discharge from simulated runoff and temperature; large lakes and reservoirs lie between. "
        "Learned on 2000-2006, judged on 2007-2010.",
        prepare={
            "name": "lievre",
            "sources": [
                source("streaminput", "{data}/vic_lievre/vic_lievre_daily_2000_2010.nc", "runoff", "streaminput"),
                source("tavg", "{data}/vic_lievre/vic_lievre_daily_2000_2010.nc", "temperature", "tavg"),
                source("q_obs", "{data}/vic_lievre/gauge_02LE024_m3s.csv", "discharge", role="target", units="m3/s"),
            ],
            "grid": {"like": "streaminput"},
        },
        train={
            "target": "q_obs",
            "inputs": ["streaminput", "tavg"],
            "scalers": {"streaminput": "standard"},
            "window": 365, "warm_up": 180,
            "split": {
                "train": {"start": "2000-01-01", "end": "2005-12-31"},
                "validation": {"start": "2006-01-01", "end": "2006-12-31"},
                "test": {"start": "2007-01-01", "end": "2010-12-31"},
            },
            "training": {
                "supervised_steps": 300, "window_stride": 61, "batch": 4, "learning_rate": 0.002, "weight_decay": 0.03,
            },
        },
        options={
            "lstm": {"dropout": 0.4},
            "cnn-lstm": {"dropout": 0.4},
            "ridge": {"window_mean": False},
        },
        scalers={"ridge": {}},
        gauges=True,
        validation_windows=24,
        goal=0.405,
        published="ridge 0.405 (with this split)",
    ),
    Task(
        name="salmon",
        title="Discharge of the Salmon River, without past discharge",
        pack="lumped_basins",
        question="Observed discharge of a basin of 4251 km2 with much snow, as one cell, from rain, temperature and "
        "PET of 57 years.",
        prepare={
            "name": "salmon",
            "sources": [
                source("p", SALMON, "precipitation", "p_mm_d", units="mm/d"),
                source("t", SALMON, "temperature", "t_c", units="degC"),
                source("pet", SALMON, "pet", "pet_mm_d", units="mm/d"),
                source("q_mm_d", SALMON, "runoff", "q_mm_d", "target", units="mm/d",
                        points={"gridding": "everywhere"}),
            ],
        },
        train={
            "target": "q_mm_d",
            "inputs": ["p", "t", "pet"],
            "window": 365, "warm_up": 365,
            "split": SHARES,
            "training": {"supervised_steps": 300, "window_stride": 61, "batch": 16},
        },
        learning_rate=OWN_RATES,
        one_cell=True,
        goal=0.681,
        published="climatology 0.681, ridge 0.063",
    ),
)  # fmt: skip
