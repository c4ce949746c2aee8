"""Names as they stand in the files of models, reanalyses and satellites, and the quantities that they speak of."""

from __future__ import annotations

import pytest

from freshet.core.contracts.variables import fits, guess_quantity, quantity, quantity_names

# (name, CF standard name, unit, quantity)
PACKS = (
    ("pre", "", "mm d-1", "precipitation"),
    ("tavg", "", "degC", "temperature"),
    ("pet", "", "", "pet"),
    ("sm_l1", "", "1", "soil_moisture"),
    ("sm_l2", "", "1", "soil_moisture"),
    ("snowpack", "surface_snow_amount", "mm", "snow"),
    ("gw_storage", "", "mm", "groundwater_storage"),
    ("aet", "", "mm d-1", "evapotranspiration"),
    ("runoff", "", "mm d-1", "runoff"),
    ("q_routed", "", "m3 s-1", "discharge"),
    ("tmax", "air_temperature", "degC", "temperature_max"),
    ("tmin", "air_temperature", "degC", "temperature_min"),
    ("precip_z", "", "1", "standardised"),
    ("streamflow_z_226_stations", "", "", "standardised"),
    ("water_depth", "", "m", "water_depth"),
    ("dem", "", "m", "elevation"),
    ("head_l1", "", "m", "groundwater_head"),
    ("head_l3", "", "m", "groundwater_head"),
    ("recharge", "", "mm d-1", "recharge"),
    ("pumping", "", "m3 d-1", "pumping"),
    ("precip", "lwe_precipitation_rate", "mm d-1", "precipitation"),
    ("precip_sum", "", "mm", "precipitation"),
    ("rain_rate", "lwe_precipitation_rate", "mm h-1", "rain_rate"),
    ("sm_smap", "", "m3 m-3", "soil_moisture"),
    ("tair", "", "degC", "temperature"),
    ("swdown", "", "W m-2", "shortwave_radiation"),
    ("lwdown", "", "W m-2", "longwave_radiation"),
    ("qair", "", "g kg-1", "humidity"),
    ("wind", "", "m s-1", "wind"),
    ("bulk", "", "g cm-3", "bulk_density"),
    ("capa", "", "-", "property"),
    ("clay", "", "-", "property"),
    ("ndvi", "", "1", "ndvi"),
    ("sand", "", "-", "property"),
    ("flag_landcover", "", "-", "class_map"),
    ("flag_albedo", "", "-", "class_map"),
    ("Streaminputs", "", "mm", "runoff"),
    ("streaminput", "", "mm d-1", "runoff"),
    ("dem_500m", "", "", "elevation"),
    ("elevation_m_4km", "", "", "elevation"),
    ("slope_deg_4km", "", "", "slope"),
    ("soil_class_4km", "", "", "soil_class"),
    ("geology_class_4km", "", "", "class_map"),
    ("lai_class_4km", "", "", "class_map"),
    ("landcover_1991_4km", "", "", "land_cover"),
    ("log10_flowacc_4km", "", "", "property"),
    ("basin_mask_4km", "", "", "class_map"),
    ("dem_m", "", "", "elevation"),
    ("landuse", "", "", "land_cover"),
    ("ldd", "", "", "flow_direction"),
    ("streamorder", "", "", "class_map"),
    ("gauges", "", "", "class_map"),
    ("river", "", "", "class_map"),
    ("soil", "", "", "soil_class"),
    ("subcatch", "", "", "class_map"),
    ("top_m", "", "", "elevation"),
    ("hk_l1_m_d", "", "", "hydraulic_conductivity"),
    ("drain_elev_m", "", "", "elevation"),
    ("clay.tif", "", "", "clay"),
    ("p_mm_d", "", "", "precipitation"),
    ("t_c", "", "", "temperature"),
    ("tmin_c", "", "", "temperature_min"),
    ("tmax_c", "", "", "temperature_max"),
    ("pet_mm_d", "", "", "pet"),
    ("swe_mm", "", "", "snow"),
    ("dayl_h", "", "", "day_length"),
    ("q_mm_d", "", "", "runoff"),
    ("q_obs_m3s", "", "", "discharge"),
    ("q_mhm_m3s", "", "", "discharge"),
    ("precipitation_1995-02-01.tif", "", "", "precipitation"),
    ("q_obs", "", "m3 s-1", "discharge"),
    ("inwater", "", "mm", "inwater"),
)
PCRASTER = (
    ("P0000000.001", "", "", "precipitation"),
    ("PET00000.001", "", "", "pet"),
    ("TEMP0000.001", "", "", "temperature"),
    ("IW000000.001", "", "", "inwater"),
)
LETTERS = (
    ("t", "", "", "temperature"),
    ("p", "", "", "precipitation"),
    ("q", "", "", "discharge"),
    ("q", "", "kg kg**-1", "humidity"),
    ("Q", "", "mm", "runoff"),
    ("r", "", "%", "relative_humidity"),
    ("d", "", "m", "water_depth"),
    ("h", "", "m", "groundwater_head"),
    ("e", "", "m of water equivalent", "evapotranspiration"),
    ("z", "", "m**2 s**-2", "elevation"),
    ("z", "", "m", "elevation"),
    ("u", "", "m s-1", "wind_u"),
    ("v", "", "m s-1", "wind_v"),
    ("x", "", "", "other"),
)
ERA5 = (
    ("tp", "", "m", "precipitation"),
    ("2t", "", "K", "temperature"),
    ("t2m", "", "K", "temperature"),
    ("d2m", "", "K", "dew_point"),
    ("2d", "", "K", "dew_point"),
    ("u10", "", "m s**-1", "wind_u"),
    ("10v", "", "m s**-1", "wind_v"),
    ("si10", "", "m s**-1", "wind"),
    ("sp", "", "Pa", "pressure"),
    ("msl", "", "Pa", "pressure"),
    ("sf", "", "m of water equivalent", "snowfall"),
    ("sd", "", "m of water equivalent", "snow"),
    ("sd", "lwe_thickness_of_surface_snow_amount", "m", "snow"),
    ("rsn", "", "kg m**-3", "snow_density"),
    ("sde", "", "m", "snow_depth"),
    ("smlt", "", "m of water equivalent", "snowmelt"),
    ("snowc", "", "%", "snow_cover"),
    ("pev", "", "m", "pet"),
    ("ro", "", "m", "runoff"),
    ("sro", "", "m", "surface_runoff"),
    ("ssro", "", "m", "subsurface_runoff"),
    ("ssrd", "", "J m**-2", "shortwave_radiation"),
    ("strd", "", "J m**-2", "longwave_radiation"),
    ("ssr", "", "J m**-2", "net_shortwave_radiation"),
    ("str", "", "J m**-2", "net_thermal_radiation"),
    ("sshf", "", "J m**-2", "sensible_heat"),
    ("slhf", "", "J m**-2", "latent_heat"),
    ("skt", "", "K", "skin_temperature"),
    ("stl1", "", "K", "soil_temperature"),
    ("swvl1", "", "m**3 m**-3", "soil_moisture"),
    ("swvl4", "", "", "soil_moisture"),
    ("lai_hv", "", "m**2 m**-2", "lai_high"),
    ("lai_lv", "", "m**2 m**-2", "lai_low"),
    ("src", "", "m of water equivalent", "canopy_storage"),
    ("fal", "", "(0 - 1)", "albedo"),
    ("tcc", "", "(0 - 1)", "cloud_cover"),
    ("lsm", "", "(0 - 1)", "area_fraction"),
    ("cvh", "", "(0 - 1)", "area_fraction"),
    ("tvh", "", "~", "other"),
    ("total_precipitation", "", "m", "precipitation"),
    ("2m_temperature", "", "K", "temperature"),
    ("volumetric_soil_water_layer_1", "", "", "soil_moisture"),
    ("surface_net_solar_radiation", "", "", "net_shortwave_radiation"),
    ("surface_solar_radiation_downwards", "", "", "shortwave_radiation"),
    ("surface_thermal_radiation_downwards", "", "", "longwave_radiation"),
    ("surface_net_thermal_radiation", "", "", "net_thermal_radiation"),
    ("snow_depth_water_equivalent", "", "", "snow"),
    ("snow_depth", "", "m of water equivalent", "snow"),
    ("snow_depth", "", "m", "snow_depth"),
    ("potential_evaporation", "", "m", "pet"),
    ("total_evaporation", "", "m of water equivalent", "evapotranspiration"),
    ("sub_surface_runoff", "", "m", "subsurface_runoff"),
    ("surface_pressure", "", "Pa", "pressure"),
    ("2m_dewpoint_temperature", "", "K", "dew_point"),
    ("10m_u_component_of_wind", "", "m s-1", "wind_u"),
    ("10m_v_component_of_wind", "", "", "wind_v"),
    ("skin_temperature", "", "K", "skin_temperature"),
    ("soil_temperature_level_1", "", "K", "soil_temperature"),
    ("leaf_area_index_high_vegetation", "", "", "lai_high"),
    ("forecast_albedo", "", "", "albedo"),
    ("snowfall", "", "", "snowfall"),
    ("snowmelt", "", "", "snowmelt"),
    ("snow_density", "", "", "snow_density"),
    ("geopotential", "", "m**2 s**-2", "elevation"),
    ("tcwv", "", "kg m**-2", "other"),
)
CMIP6 = (
    ("pr", "precipitation_flux", "kg m-2 s-1", "precipitation"),
    ("pr_day_MPI-ESM1-2-HR_historical_r1i1p1f1_gn_20100101-20141231.nc", "", "", "precipitation"),
    ("tas", "air_temperature", "K", "temperature"),
    ("tasmax", "air_temperature", "K", "temperature_max"),
    ("tasmin_Amon_CESM2", "", "", "temperature_min"),
    ("hurs", "", "%", "relative_humidity"),
    ("huss", "", "1", "humidity"),
    ("sfcWind", "wind_speed", "m s-1", "wind"),
    ("uas", "", "m s-1", "wind_u"),
    ("ps", "", "Pa", "pressure"),
    ("psl", "", "Pa", "pressure"),
    ("rsds", "", "W m-2", "shortwave_radiation"),
    ("rlds", "", "W m-2", "longwave_radiation"),
    ("mrro", "runoff_flux", "kg m-2 s-1", "runoff"),
    ("mrros", "", "kg m-2 s-1", "surface_runoff"),
    ("mrso", "mass_content_of_water_in_soil", "kg m-2", "soil_water"),
    ("mrsos", "", "kg m-2", "soil_water"),
    ("evspsbl", "water_evapotranspiration_flux", "kg m-2 s-1", "evapotranspiration"),
    ("evspsblpot", "", "kg m-2 s-1", "pet"),
    ("snw", "surface_snow_amount", "kg m-2", "snow"),
    ("snd", "surface_snow_thickness", "m", "snow_depth"),
    ("snm", "", "kg m-2 s-1", "snowmelt"),
    ("snc", "", "%", "snow_cover"),
    ("prsn", "", "kg m-2 s-1", "snowfall"),
    ("lai", "", "1", "lai"),
    ("tsl", "", "K", "soil_temperature"),
    ("ts", "surface_temperature", "K", "skin_temperature"),
    ("orog", "surface_altitude", "m", "elevation"),
    ("hfls", "", "W m-2", "latent_heat"),
    ("hfss", "", "W m-2", "sensible_heat"),
    ("clt", "", "%", "cloud_cover"),
    ("sftlf", "", "%", "area_fraction"),
    ("rivo", "", "m3 s-1", "discharge"),
    ("wtd", "water_table_depth", "m", "groundwater_depth"),
)
MHM = (
    ("SM_L01", "", "mm mm-1", "soil_moisture"),
    ("SM_Lall", "", "mm mm-1", "soil_moisture"),
    ("SWC_L01", "", "mm", "soil_water"),
    ("satSTW", "", "mm", "groundwater_storage"),
    ("unsatSTW", "", "mm", "soil_water"),
    ("aET", "", "mm", "evapotranspiration"),
    ("aET_L01", "", "mm", "evapotranspiration"),
    ("Qrouted", "", "m3 s-1", "discharge"),
    ("QB", "", "mm", "subsurface_runoff"),
    ("QD", "", "mm", "surface_runoff"),
    ("preEffect", "", "mm", "snowmelt_rainfall"),
    ("facc", "", "", "flow_accumulation"),
    ("fdir", "", "", "flow_direction"),
    ("idgauges", "", "", "class_map"),
    ("interception", "", "mm", "canopy_storage"),
    ("eabs", "", "Pa", "vapour_pressure"),
    ("slope", "ground_slope_angle", "%", "slope_gradient"),
    ("aspect", "", "degree", "aspect"),
    ("soil_infil_L01", "", "mm", "infiltration"),
    ("snow", "snowfall_amount", "mm", "snowfall"),
    ("melt", "", "mm", "snowmelt"),
)
WFLOW = (
    ("wflow_dem", "", "", "elevation"),
    ("wflow_ldd", "", "", "flow_direction"),
    ("wflow_landuse", "", "", "land_cover"),
    ("wflow_soil", "", "", "soil_class"),
    ("wflow_river", "", "", "class_map"),
    ("wflow_streamorder", "", "", "class_map"),
    ("Slope", "", "", "slope"),
    ("RiverSlope", "", "", "slope_gradient"),
    ("RootingDepth", "", "mm", "soil_depth"),
    ("SoilThickness", "", "mm", "soil_depth"),
    ("KsatVer", "", "mm/day", "hydraulic_conductivity"),
    ("thetaS", "", "m3 m-3", "porosity"),
    ("N_River", "", "s m-1/3", "roughness"),
    ("q_river", "", "m3 s-1", "discharge"),
    ("q_av", "", "m3/s", "discharge"),
    ("h_av", "", "m", "water_depth"),
    ("actevap", "", "mm", "evapotranspiration"),
    ("snowwater", "", "mm", "snow"),
    ("wflow_uparea", "", "km2", "upstream_area"),
    ("InwaterMM", "", "", "inwater"),
    ("zi", "", "mm", "groundwater_depth"),
)
VIC = (
    ("OUT_PREC", "", "mm", "precipitation"),
    ("OUT_EVAP", "", "mm", "evapotranspiration"),
    ("OUT_RUNOFF", "", "mm", "runoff"),
    ("OUT_BASEFLOW", "", "mm", "subsurface_runoff"),
    ("OUT_SOIL_MOIST", "", "mm", "soil_water"),
    ("OUT_SWE", "", "mm", "snow"),
    ("OUT_SNOW_DEPTH", "", "cm", "snow_depth"),
    ("OUT_AIR_TEMP", "", "C", "temperature"),
    ("OUT_SURF_TEMP", "", "C", "land_surface_temperature"),
    ("OUT_SHORTWAVE", "", "W/m2", "shortwave_radiation"),
    ("OUT_LONGWAVE", "", "W/m2", "longwave_radiation"),
    ("OUT_REL_HUMID", "", "%", "relative_humidity"),
    ("OUT_VP", "", "kPa", "vapour_pressure"),
    ("OUT_VPD", "", "kPa", "vapour_pressure_deficit"),
    ("OUT_PRESSURE", "", "kPa", "pressure"),
    ("OUT_QAIR", "", "kg/kg", "humidity"),
    ("OUT_SNOW_MELT", "", "mm", "snowmelt"),
    ("OUT_R_NET", "", "W/m2", "net_radiation"),
    ("OUT_GRND_FLUX", "", "W/m2", "soil_heat"),
    ("OUT_LATENT", "", "W/m2", "latent_heat"),
    ("OUT_TRANSP_VEG", "", "mm", "transpiration"),
    ("OUT_SOIL_TEMP", "", "C", "soil_temperature"),
    ("OUT_WDEW", "", "mm", "canopy_storage"),
)
LISFLOOD = (
    ("ta", "", "degC", "temperature"),
    ("e0", "", "mm", "pet"),
    ("es0", "", "mm", "pet"),
    ("et0", "", "mm", "pet"),
    ("dis", "", "m3 s-1", "discharge"),
    ("dis24", "", "m**3 s**-1", "discharge"),
    ("ups", "", "", "upstream_area"),
    ("upArea", "", "m2", "upstream_area"),
    ("theta1", "", "m3 m-3", "soil_moisture"),
    ("scov", "", "%", "snow_cover"),
    ("thetas1", "", "", "porosity"),
    ("ksat1", "", "mm/d", "hydraulic_conductivity"),
)
PCRGLOBWB = (
    ("totalRunoff", "", "m.day-1", "runoff"),
    ("totalEvaporation", "", "m.day-1", "evapotranspiration"),
    ("referencePotET", "", "m.day-1", "pet"),
    ("gwRecharge", "", "m.day-1", "recharge"),
    ("storGroundwater", "", "m", "groundwater_storage"),
    ("totalWaterStorageThickness", "", "m", "terrestrial_water_storage"),
    ("satDegUpp", "", "1", "soil_moisture"),
    ("snowCoverSWE", "", "m", "snow"),
    ("storUppTotal", "", "m", "soil_water"),
    ("interceptStor", "", "m", "canopy_storage"),
    ("actualET", "", "m.day-1", "evapotranspiration"),
    ("directRunoff", "", "m.day-1", "surface_runoff"),
    ("surfaceWaterStorage", "", "m", "surface_water_storage"),
    ("groundwaterDepth", "", "m", "groundwater_depth"),
    ("waterTemp", "", "K", "water_temperature"),
    ("totalGroundwaterAbstraction", "", "m3/d", "pumping"),
)
SMAP = (
    ("soil_moisture", "", "cm**3/cm**3", "soil_moisture"),
    ("soil_moisture_error", "", "cm**3/cm**3", "other"),
    ("soil_moisture_pm", "", "cm**3/cm**3", "soil_moisture"),
    ("tb_v_corrected", "", "Kelvin", "brightness_temperature"),
    ("tb_h_corrected", "", "Kelvin", "brightness_temperature"),
    ("vegetation_water_content", "", "kg/m**2", "vegetation_water_content"),
    ("vegetation_opacity", "", "", "vegetation_opacity"),
    ("surface_temperature", "", "Kelvin", "land_surface_temperature"),
    ("roughness_coefficient", "", "", "roughness"),
    ("clay_fraction", "", "", "clay"),
    ("bulk_density", "", "g/cm3", "bulk_density"),
    ("sm_surface", "", "m3 m-3", "soil_moisture"),
    ("sm_rootzone", "", "m3 m-3", "root_zone_soil_moisture"),
    ("retrieval_qual_flag", "", "", "class_map"),
    ("landcover_class", "", "", "land_cover"),
    ("static_water_body_fraction", "", "", "flood_fraction"),
)
LDAS = (
    ("Rainf_tavg", "rainfall_flux", "kg m-2 s-1", "rainfall"),
    ("Rainf_f_tavg", "", "kg m-2 s-1", "rainfall"),
    ("Snowf_tavg", "", "kg m-2 s-1", "snowfall"),
    ("Evap_tavg", "", "kg m-2 s-1", "evapotranspiration"),
    ("Evap_tavg", "", "", "evapotranspiration"),
    ("Qs_acc", "", "kg m-2", "surface_runoff"),
    ("Qsb_acc", "", "kg m-2", "subsurface_runoff"),
    ("Qsm_acc", "", "kg m-2", "snowmelt"),
    ("AvgSurfT_inst", "", "K", "skin_temperature"),
    ("SoilMoi0_10cm_inst", "", "kg m-2", "soil_water"),
    ("SoilTMP0_10cm_inst", "", "K", "soil_temperature"),
    ("RootMoist_inst", "", "kg m-2", "soil_water"),
    ("CanopInt_inst", "", "kg m-2", "canopy_storage"),
    ("ESoil_tavg", "", "W m-2", "other"),
    ("Tveg_tavg", "", "kg m-2 s-1", "transpiration"),
    ("PotEvap_tavg", "", "mm/d", "pet"),
    ("SWE_inst", "", "kg m-2", "snow"),
    ("SnowDepth_inst", "", "m", "snow_depth"),
    ("Wind_f_inst", "", "m s-1", "wind"),
    ("Tair_f_inst", "", "K", "temperature"),
    ("Qair_f_inst", "", "kg kg-1", "humidity"),
    ("Psurf_f_inst", "", "Pa", "pressure"),
    ("SWdown_f_tavg", "", "W m-2", "shortwave_radiation"),
    ("LWdown_f_tavg", "", "W m-2", "longwave_radiation"),
    ("Lwnet_tavg", "", "W m-2", "net_thermal_radiation"),
    ("Swnet_tavg", "", "W m-2", "net_shortwave_radiation"),
    ("Qle_tavg", "", "W m-2", "latent_heat"),
    ("Qh_tavg", "", "W m-2", "sensible_heat"),
    ("Qg_tavg", "", "W m-2", "soil_heat"),
    ("Albedo_inst", "", "%", "albedo"),
    ("GWS_tavg", "", "mm", "groundwater_storage"),
    ("TWS_tavg", "", "mm", "terrestrial_water_storage"),
    ("APCP", "", "kg/m^2", "precipitation"),
    ("TMP", "", "K", "temperature"),
    ("SPFH", "", "kg/kg", "humidity"),
    ("DSWRF", "", "W/m^2", "shortwave_radiation"),
    ("DLWRF", "", "W/m^2", "longwave_radiation"),
    ("UGRD", "", "m/s", "wind_u"),
    ("PRES", "", "Pa", "pressure"),
    ("PEVAP", "", "kg/m^2", "pet"),
    ("PotEvap", "", "kg m-2", "pet"),
    ("Wind_E", "", "m s-1", "wind_u"),
    ("SOILM0_100cm", "", "kg m-2", "soil_water"),
)
SATELLITES = (
    ("precipitationCal", "", "mm/hr", "precipitation"),
    ("3B-HHR.MS.MRG.3IMERG.20150101-S000000", "", "", "precipitation"),
    ("probabilityLiquidPrecipitation", "", "percent", "other"),
    ("precipitationQualityIndex", "", "", "other"),
    ("chirps-v2.0.1981.01.01.tif", "", "", "precipitation"),
    ("chirps-v2.0.2015.days_p05", "", "", "precipitation"),
    ("lwe_thickness", "Liquid_Water_Equivalent_Thickness", "cm", "terrestrial_water_storage"),
    ("LST_Day_1km", "", "Kelvin", "land_surface_temperature"),
    ("ET_500m", "", "kg/m^2/8day", "evapotranspiration"),
    ("PET_500m", "", "kg/m^2/8day", "pet"),
    ("250m 16 days NDVI", "", "", "ndvi"),
    ("250m 16 days EVI", "", "", "evi"),
    ("Lai_500m", "", "m^2/m^2", "lai"),
    ("NDSI_Snow_Cover", "", "", "snow_cover"),
    ("SMroot", "", "", "root_zone_soil_moisture"),
    ("Ep", "", "mm/day", "pet"),
)
OTHERS = (
    ("rr", "", "mm", "precipitation"),
    ("tg", "", "Celsius", "temperature"),
    ("tn", "", "Celsius", "temperature_min"),
    ("tx", "", "Celsius", "temperature_max"),
    ("hu", "", "%", "relative_humidity"),
    ("qq", "", "W/m2", "shortwave_radiation"),
    ("fg", "", "m/s", "wind"),
    ("ppt", "", "mm", "precipitation"),
    ("prcp(mm/day)", "", "", "precipitation"),
    ("QObs(mm/d)", "", "", "runoff"),
    ("QObs", "", "ft3/s", "discharge"),
    ("srad(W/m2)", "", "", "shortwave_radiation"),
    ("vp(Pa)", "", "", "vapour_pressure"),
    ("dayl(s)", "", "", "day_length"),
    ("tmmn", "", "K", "temperature_min"),
    ("sph", "", "kg/kg", "humidity"),
    ("vs", "", "m/s", "wind"),
    ("etr", "", "mm", "evapotranspiration"),
    ("soil", "", "mm", "soil_water"),
    ("q", "", "mm", "runoff"),
    ("aet", "", "mm", "evapotranspiration"),
    ("vap", "", "kPa", "vapour_pressure"),
    ("bdod_0-5cm_mean", "", "cg/cm³", "bulk_density"),
    ("clay_0-5cm_mean", "", "g/kg", "clay"),
    ("soc_0-5cm_mean", "", "dg/kg", "soil_organic_matter"),
    ("upa", "", "km2", "upstream_area"),
    ("hnd", "", "m", "height_above_drainage"),
    ("elv", "", "m", "elevation"),
    ("dir", "", "", "flow_direction"),
    ("wth", "", "m", "other"),
    ("rivdph", "", "m", "water_depth"),
    ("fldfrc", "", "", "flood_fraction"),
    ("sfcelv", "", "m", "water_level"),
    ("outflw", "", "m3/s", "discharge"),
)
TRAPS = (
    ("tmp", "", "", "other"),
    ("tmp_1990", "", "", "other"),
    ("depth of soil", "", "m", "soil_depth"),
    ("soil_depth_m", "", "", "soil_depth"),
    ("well_depth", "", "m", "other"),
    ("river_width_m", "", "", "other"),
    ("something else", "", "", "other"),
    ("Band1", "", "", "other"),
    ("rain", "", "K", "other"),
    ("precip_std", "", "mm", "other"),
    ("temperature_uncertainty", "", "K", "other"),
    ("step", "", "", "other"),
    ("parameter", "", "", "other"),
    ("map", "", "", "other"),
    ("part", "", "", "other"),
    ("etage", "", "", "other"),
    ("premise", "", "", "other"),
    ("test", "", "", "other"),
    ("sediment", "", "", "other"),
    ("top_secret", "", "", "other"),
    ("soil_temp", "", "", "soil_temperature"),
    ("water temperature", "", "", "water_temperature"),
    ("lake", "", "", "other"),
    ("area", "", "km2", "other"),
    ("depth_to_bedrock", "", "cm", "soil_depth"),
    ("depth", "", "m", "water_depth"),
    ("max_depth_m", "", "", "water_depth"),
    ("water_table_depth", "", "m", "groundwater_depth"),
    ("forest_fraction", "", "", "area_fraction"),
)
UNITS_ALONE = (
    ("field_7", "", "K", "temperature"),
    ("field_7", "", "m3 s-1", "discharge"),
    ("field_7", "", "W m-2", "radiation"),
    ("field_7", "", "mm", "other"),
    ("field_7", "", "", "other"),
    ("field_7", "", "dBZ", "radar_echo"),
)
LONG_NAMES = (
    ("hydraulic head, layer 1 (water table)", "", "m", "groundwater_head"),
    ("commanded groundwater abstraction (6 wells)", "", "m3 d-1", "pumping"),
    ("SMAP L3 passive surface soil moisture (0-5 cm), descending (AM) pass", "", "m3 m-3", "soil_moisture"),
    ("5-minute radar rainfall, as rate", "", "mm h-1", "rain_rate"),
    (
        "relative saturation of soil layer 1 (0-20 cm): soil moisture / saturated soil moisture",
        "",
        "1",
        "soil_moisture",
    ),
    ("bed elevation", "", "m", "elevation"),
    ("NLDAS-2 downward short-wave radiation", "", "W m-2", "shortwave_radiation"),
    ("NLDAS-2 2 m air temperature", "", "degC", "temperature"),
    ("total runoff", "", "mm", "runoff"),
    ("snow water equivalent", "", "mm", "snow"),
    ("daily maximum 2 m temperature", "", "degC", "temperature_max"),
)

ALL = (
    *PACKS,
    *PCRASTER,
    *LETTERS,
    *ERA5,
    *CMIP6,
    *MHM,
    *WFLOW,
    *VIC,
    *LISFLOOD,
    *PCRGLOBWB,
    *SMAP,
    *LDAS,
    *SATELLITES,
    *OTHERS,
    *TRAPS,
    *UNITS_ALONE,
    *LONG_NAMES,
)


@pytest.mark.parametrize(("name", "standard_name", "units", "wanted"), ALL)
def test_a_real_name_is_understood(name, standard_name, units, wanted):
    assert guess_quantity(name, standard_name, units).name == wanted


def test_no_name_of_the_table_stands_there_twice():
    keys = [row[:3] for row in ALL]
    assert len(keys) == len(set(keys))


def test_the_name_alone_is_enough():
    assert guess_quantity("swvl1").name == "soil_moisture"
    assert guess_quantity("tmp").name == "other" and guess_quantity("").name == "other"


# Abbreviations that studies with convolutional LSTMs use for the water balance (a review lists them in its Table 2).
TABLE_2 = {
    "ALB": "albedo", "BD": "bulk_density", "CLAY": "clay", "DEM": "elevation", "EST": "effective_soil_temperature",
    "ET": "evapotranspiration", "ETa": "evapotranspiration", "EVI": "evi", "G": "groundwater_flow", "GPR": "pumping",
    "GWL": "groundwater_level", "HH": "groundwater_head", "HV-LAI": "lai_high", "LAI": "lai",
    "LF": "longwave_radiation", "LMI": "local_moran", "LST": "land_surface_temperature", "LULC": "land_cover",
    "LV-LAI": "lai_low", "MA": "moisture_availability", "NDVI": "ndvi", "NSMI": "normalized_soil_moisture_index",
    "P": "precipitation", "Patm": "pressure", "PET": "pet", "Q": "discharge", "REM": "radar_echo", "Rf": "rainfall",
    "RH": "relative_humidity", "Rn": "net_radiation", "Rough": "roughness", "RZSM": "root_zone_soil_moisture",
    "SAND": "sand", "SF": "shortwave_radiation", "SH": "humidity", "SHF": "sensible_heat", "SILT": "silt",
    "SM": "soil_moisture", "SMR": "snowmelt_rainfall", "SOM": "soil_organic_matter", "SoilHF": "soil_heat",
    "SpDist": "distance", "SR": "shortwave_radiation", "ST": "soil_temperature", "Skt": "skin_temperature",
    "SunHrs": "sunshine", "SWE": "snow", "T": "temperature", "TB": "brightness_temperature", "TE": "evapotranspiration",
    "Tmax": "temperature_max", "Tmin": "temperature_min", "TR": "net_thermal_radiation", "TV": "time_variable",
    "TWS": "terrestrial_water_storage", "VOP": "vegetation_opacity", "VWC": "vegetation_water_content",
    "VPD": "vapour_pressure_deficit", "WL": "water_level", "WS": "wind", "U": "wind_u", "V": "wind_v",
}  # fmt: skip


@pytest.mark.parametrize(("short", "wanted"), TABLE_2.items())
def test_each_variable_of_these_studies_is_in_the_catalogue_and_found_by_its_abbreviation(short, wanted):
    entry = quantity(wanted)
    if short not in ("TV", "EST"):  # too short to be believed without more
        assert guess_quantity(short, units=entry.units).name == wanted


def test_the_standard_name_goes_before_the_name_which_tells_its_kinds_apart():
    assert guess_quantity("field", "air_temperature", "K").name == "temperature"
    assert guess_quantity("mx2t", "air_temperature", "K").name == "temperature_max"
    assert guess_quantity("rain", "lwe_thickness_of_surface_snow_amount", "m").name == "snow"
    assert guess_quantity("swe", "no_such_name", "mm").name == "snow"
    assert guess_quantity("Skt", "surface_temperature").name == "skin_temperature"
    assert guess_quantity("x", "surface_temperature", "K").name == "land_surface_temperature"


def test_a_standard_name_with_a_unit_that_cannot_be_is_not_believed():
    assert guess_quantity("x", "air_temperature", "mm").name == "other"
    assert guess_quantity("depth", "air_temperature", "m").name == "water_depth"


def test_a_unit_that_contradicts_the_name_is_believed():
    assert guess_quantity("rain", units="K").name == "other"
    assert guess_quantity("rain", units="unknown").name == "precipitation"
    assert guess_quantity("rain", units="furlong").name == "precipitation"


@pytest.mark.parametrize(
    ("name", "units", "wanted"),
    [
        ("precip_z", "", "standardised"), ("precip_zscore", "1", "standardised"), ("z_streamflow", "", "standardised"),
        ("precip_z", "mm/d", "precipitation"), ("temperature_anomaly", "K", "other"), ("log_q", "", "other"),
        ("log10_upa", "", "property"), ("tws_anomaly", "cm", "terrestrial_water_storage"), ("sm_std", "", "other"),
        ("normalized_difference_vegetation_index", "1", "ndvi"), ("snow_flag", "", "class_map"),
        ("soil_moisture_qc", "", "other"), ("vegetation_type", "", "land_cover"), ("snow_class", "", "class_map"),
    ],
)  # fmt: skip
def test_what_was_made_of_a_quantity_is_not_the_quantity(name, units, wanted):
    assert guess_quantity(name, units=units).name == wanted


def test_fits_by_unit():
    assert fits(quantity("precipitation"), "kg m-2 s-1") and fits(quantity("precipitation"), "")
    assert fits(quantity("precipitation"), "no such unit")
    assert not fits(quantity("precipitation"), "K") and not fits(quantity("soil_moisture"), "mm")
    assert (
        fits(quantity("property"), "K") and fits(quantity("land_cover"), "1") and not fits(quantity("land_cover"), "m")
    )
    assert not fits(quantity("discharge"), "mm/d")  # not without the area


OWN = [name for name in quantity_names() if name not in ("other", "property", "standardised", "rainfall")]


@pytest.mark.parametrize("name", OWN)
def test_each_entry_is_found_by_its_own_name_and_label(name):
    entry = quantity(name)
    assert guess_quantity(name, units=entry.units) == entry
    assert guess_quantity(entry.label, units=entry.units) == entry
    assert guess_quantity(entry.label.replace(" ", "_")) == entry


def test_what_is_called_rainfall_is_mostly_all_precipitation():
    assert guess_quantity("rainfall").name == "precipitation"
    assert guess_quantity("Rainfall without snow").name == "rainfall"
