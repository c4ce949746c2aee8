"""The tasks of the table on real data whose target is a map."""

from __future__ import annotations

from real_task import SHARES, Task, level, source

_MOSELLE = "{data}/mhm_moselle/mhm_moselle_4km_1990_1993.nc"
_MOSELLE_STATIC = {
    "elevation": ("elevation_m_4km.tif", "elevation"),
    "slope": ("slope_deg_4km.tif", "slope"),
    "land_cover": ("landcover_1991_4km.tif", "land_cover"),
}
_MOSELLE_MAPS = [
    source("pre", _MOSELLE, "precipitation", "pre"),
    source("tavg", _MOSELLE, "temperature", "tavg"),
    source("pet", _MOSELLE, "pet", "pet"),
    *(
        source(name, f"{{data}}/mhm_moselle/static/{file}", kind, role="static")
        for name, (file, kind) in _MOSELLE_STATIC.items()
    ),
]
_MOSELLE_DATASET = {
    "name": "moselle",
    "sources": [
        *_MOSELLE_MAPS,
        level("mean_sm", "moselle"),
        source("sm_l1", _MOSELLE, "soil_moisture", "sm_l1", "target"),
    ],
    "grid": {"like": "sm_l1"},
}

MAP_TASKS: tuple[Task, ...] = (
    Task(
        name="moselle-sm",
        title="Soil moisture of the Moselle, simulated",
        pack="mhm_moselle",
        question="Relative soil moisture of the upper layer on the same day from rain, temperature and PET alone.",
        prepare=_MOSELLE_DATASET,
        level="mean_sm",
        train={
            "target": "sm_l1",
            "inputs": ["pre", "tavg", "pet"],
            "static": [*_MOSELLE_STATIC, "mean_sm"],
            "window": 30, "warm_up": 20,
            "split": SHARES,
            "training": {"supervised_steps": 25, "window_stride": 29, "batch": 1, "learning_rate": 0.01},
        },
        run_through=True,
        with_time={
            "window": 60, "warm_up": 60,
            "training": {"supervised_steps": 50, "window_stride": 29, "batch": 1, "learning_rate": 0.01},
        },
        goal=0.965,
        published="ridge 0.831, climatology 0.588; a plain ConvLSTM in 15 minutes 0.961",
    ),
    Task(
        name="moselle-sm-7",
        title="Soil moisture of the Moselle, 7 days ahead",
        pack="mhm_moselle",
        question="The same 7 days ahead; the soil moisture up to today is known, the weather to come is not.",
        prepare=_MOSELLE_DATASET,
        level="mean_sm",
        train={
            "target": "sm_l1",
            "inputs": ["sm_l1", "pre", "tavg", "pet"],
            "static": [*_MOSELLE_STATIC, "mean_sm"],
            "window": 10, "warm_up": 0, "lead": 7,
            "split": SHARES,
            "training": {"supervised_steps": 5, "window_stride": 29, "batch": 2},
        },
        judge_every=2,
        persistence_counts=True,
        with_time={"training": {"supervised_steps": 5, "window_stride": 4, "batch": 4}},
        published="persistence 0.858, ridge 0.883",
    ),
    Task(
        name="rhine",
        title="Water entering the rivers of the Rhine, simulated",
        pack="wflow_rhine",
        question="Water that enters the river of each cell, from rain, PET and temperature.",
        prepare={
            "name": "rhine",
            "sources": [
                source("precipitation", "{data}/wflow_rhine/precipitation", "precipitation"),
                source("pet", "{data}/wflow_rhine/pet", "pet"),
                source("temperature", "{data}/wflow_rhine/temperature", "temperature"),
                source("inwater", "{data}/wflow_rhine/inwater", "inwater", role="target"),
                source("dem_m", "{data}/wflow_rhine/static/dem_m.tif", "elevation", role="static"),
                level("mean_inwater", "rhine"),
            ],
            "grid": {"like": "inwater"},
        },
        train={
            "target": "inwater",
            "inputs": ["precipitation", "pet", "temperature"],
            "static": ["dem_m", "mean_inwater"],
            "scalers": {"inwater": "log1p"},
            "window": 5, "warm_up": 10,
            "split": SHARES,
            "training": {"supervised_steps": 4, "window_stride": 15, "batch": 1},
        },
        run_through=True,
        judge_every=3,
        without={
            "sa-convlstm": "it compares all pairs of 31,603 cells, which took more than 21 GiB of memory",
        },
        level="mean_inwater",
        validation_windows=6,
        log1p=True,
        published="of log1p: climatology 0.571, ridge 0.171; in mm/d: climatology 0.802, ridge 0.069",
    ),
    Task(
        name="smap",
        title="Soil moisture from satellite with gaps, simulated",
        pack="smap_conus",
        question="Soil moisture as SMAP sees it on the same day, from the weather; 58 % of the days have no retrieval.",
        prepare={
            "name": "smap",
            "sources": [
                *(
                    source(name, "{data}/smap_conus/smap_nldas_conus_2015_2017.nc", kind, name)
                    for name, kind in (
                        ("precip", "precipitation"), ("tair", "temperature"), ("swdown", "radiation"),
                        ("lwdown", "radiation"), ("qair", "humidity"), ("wind", "wind"),
                    )
                ),
                *(
                    source(name, "{data}/smap_conus/static.nc", "property", name, "static")
                    for name in ("bulk", "capa", "clay", "ndvi", "sand")
                ),
                level("mean_sm", "smap"),
                source("sm_smap", "{data}/smap_conus/smap_nldas_conus_2015_2017.nc", "soil_moisture", "sm_smap",
                        "target"),
            ],
            "grid": {"like": "sm_smap"},
        },
        train={
            "target": "sm_smap",
            "inputs": ["precip", "tair", "swdown", "lwdown", "qair", "wind"],
            "static": ["bulk", "capa", "clay", "ndvi", "sand", "mean_sm"],
            "window": 20, "warm_up": 20,
            "split": SHARES,
            "training": {"supervised_steps": 15, "window_stride": 17, "batch": 2},
        },
        run_through=True,
        level="mean_sm",
        published="climatology 0.749, ridge 0.586; the last retrieval 0.878",
    ),
    Task(
        name="radar",
        title="Rain 30 minutes ahead",
        pack="radar_knmi",
        question="Rain rate 6 frames of 5 minutes ahead from the frames up to now, on cells of 4 km.",
        prepare={
            "name": "radar",
            "sources": [
                source("rain", "{data}/radar_knmi/knmi_rain_rate_5min_20100826.nc", "rain_rate", role="target"),
            ],
            "grid": {"like": "rain", "resolution": 4000.0},
        },
        train={
            "target": "rain",
            "inputs": ["rain"],
            "window": 4, "warm_up": 0, "lead": 6,
            "split": SHARES,
            "training": {"supervised_steps": 2, "window_stride": 3, "batch": 1},
        },
        threshold=1.0,
        options={"cnn": {"frames": 3}},
        validation_windows=6,
        persistence_counts=True,
        published="on cells of 1 km: persistence -0.218 and CSI 0.255, advection 0.339 and 0.467",
    ),
    Task(
        name="freyberg",
        title="Groundwater heads under pumping, simulated",
        pack="freyberg_gw",
        question="Groundwater head of the upper layer on the same day from pumping and recharge, without past heads.",
        prepare={
            "name": "freyberg",
            "sources": [
                source("pumping", "{data}/freyberg_gw/freyberg_heads_daily_2015_2017.nc", "pumping", "pumping"),
                source("recharge", "{data}/freyberg_gw/freyberg_heads_daily_2015_2017.nc", "recharge", "recharge"),
                source("top_m", "{data}/freyberg_gw/static/top_m.tif", "elevation", role="static"),
                source("hk", "{data}/freyberg_gw/static/hk_l1_m_d.tif", "property", role="static"),
                level("mean_head", "freyberg"),
                source("head_l1", "{data}/freyberg_gw/freyberg_heads_daily_2015_2017.nc", "groundwater_head",
                        "head_l1", "target"),
            ],
            "grid": {"like": "head_l1"},
        },
        train={
            "target": "head_l1",
            "inputs": ["pumping", "recharge"],
            "static": ["top_m", "hk", "mean_head"],
            "window": 20, "warm_up": 20,
            "split": SHARES,
            "training": {"supervised_steps": 15, "window_stride": 17, "batch": 2},
        },
        run_through=True,
        level="mean_head",
        published="climatology 0.937, ridge 0.527",
    ),
    Task(
        name="flood",
        title="Floods of unseen simulations, 2 hours ahead",
        pack="flood_delft3d",
        question="Water depth 4 steps of 30 minutes ahead after a dike breach, from the depths up to now and the "
        "terrain; judged on 20 simulations that no model has seen.",
        prepare={
            "name": "flood",
            "sources": [
                source("depth", "{data}/flood_delft3d/sims/flood_{sequence}.nc", "water_depth", "water_depth",
                        "target"),
                source("dem", "{data}/flood_delft3d/sims/flood_{sequence}.nc", "elevation", "dem", "static"),
            ],
            "grid": {"like": "depth"},
            "sequences": ["*"],
        },
        train={
            "target": "depth",
            "inputs": ["depth"],
            "static": ["dem"],
            "scalers": {"depth": "standard"},
            "window": 4, "warm_up": 0, "lead": 4,
            "split": {
                "validation_sequences": ["0005[7-9]", "00060"],
                "test_sequences": ["005*", "10*"],
            },
            "training": {"supervised_steps": 2, "window_stride": 15, "batch": 2},
        },
        judge_every=6,
        options={"cnn": {"frames": 3}},
        persistence_counts=True,
        published="persistence 0.982 (same breach place) and 0.984 (other breach places)",
    ),
)  # fmt: skip
