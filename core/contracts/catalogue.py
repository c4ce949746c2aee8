"""The table of the variable catalogue: fluxes, states, static maps, maps of classes.

Names, abbreviations and quantities follow common use in hydrology; standard names are those of the CF table. Ramps can
be told apart by the colour-blind; none that has a neutral middle stands here, since that middle means no difference.
"""

from __future__ import annotations

from .quantity import Quantity

_WATER, _PLAIN, _WARMTH, _DRY, _GREEN, _SNOW, _SUN = (
    "YlGnBu", "Viridis", "RdYlBu_r", "YlOrRd", "YlGn", "Blues", "Magma",
)  # fmt: skip


def _flux(name, label, short, cf, low, high, words, ramp=_WATER, scaler="standard", units="mm/d", stretch="linear"):
    return Quantity(name, label, short, cf, units, "flux", low, high, "mean", "conservative", scaler, ramp,
                    tuple(words.split()), stretch)  # fmt: skip


def _state(
    name, label, short, cf, units, low, high, words, ramp=_WATER, scaler="standard", gather="mean", stretch="linear"
):
    return Quantity(name, label, short, cf, units, "state", low, high, gather, "bilinear", scaler, ramp,
                    tuple(words.split()), stretch)  # fmt: skip


def _static(name, label, short, cf, units, low, high, words, ramp=_PLAIN, scaler="standard", stretch="linear"):
    return Quantity(name, label, short, cf, units, "static", low, high, "first", "average", scaler, ramp,
                    tuple(words.split()), stretch)  # fmt: skip


def _class(name, label, words, short=""):
    return Quantity(name, label, short or name, "", "-", "class", -1e9, 1e9, "first", "mode", "one-hot", _PLAIN,
                    tuple(words.split()))  # fmt: skip


_FLUXES = (
    _flux("precipitation", "Precipitation", "P", "lwe_precipitation_rate", 0.0, 2000.0,
          "precipitation total_precipitation precip prec prcp ppt rain rainfall pcp tp< pr< pre! rr! pp? apcp prate totprec "
          "chirps imerg 3imerg persiann mswep gpcp cmorph trmm p!", scaler="log1p", stretch="log"),
    _flux("rainfall", "Rainfall without snow", "Rf", "rainfall_flux", 0.0, 2000.0,
          "rainf liquid_precipitation rainfall_flux lsrr< crr< rf<", scaler="log1p", stretch="log"),
    _flux("rain_rate", "Rain rate (radar)", "RR", "lwe_precipitation_rate", 0.0, 400.0,
          "rain_rate rainrate rainfall_rate rainfall_intensity rain_intensity precipitation_intensity radar_rain radar_rainfall",
          scaler="log1p", units="mm/h", stretch="log"),
    _flux("snowfall", "Snowfall, water equivalent", "Sf", "lwe_snowfall_rate", 0.0, 1000.0,
          "snowfall total_snowfall snowf prsn< sf? solid_precipitation asnow snow_precipitation", ramp=_SNOW, scaler="log1p"),
    _flux("snowmelt", "Snowmelt", "SM_melt", "surface_snow_melt_flux", 0.0, 1000.0,
          "snowmelt snow_melt snm< smlt< qsm< melt! swe_melt snow_melting", ramp=_SNOW, scaler="log1p"),
    _flux("snowmelt_rainfall", "Snowmelt and rainfall", "SMR", "", 0.0, 2000.0,
          "snowmelt_rainfall snowmelt_and_rainfall snowmelt_rain rain_melt rainmelt rain_plus_melt smr< effective_precipitation "
          "pre_effect pre_eff", scaler="log1p", stretch="log"),
    _flux("pet", "Potential evapotranspiration", "PET", "water_potential_evaporation_flux", 0.0, 30.0,
          "pet potential_evapotranspiration potential_evaporation reference_evapotranspiration reference_et referencepotet potet "
          "potevap pot_evap pevap pev< evspsblpot etp epot eto< et0 es0 e0< ep! eref etref potential! pevpr< "
          "referencepotentialevapotranspiration", ramp=_DRY),
    _flux("evapotranspiration", "Evapotranspiration", "ET", "water_evapotranspiration_flux", -5.0, 30.0,
          "evapotranspiration actual_evapotranspiration aet actual_et actualet eta! et< evap evaporation total_evaporation "
          "evspsbl actevap e! te? etr? esoil ecanop"),
    _flux("transpiration", "Transpiration", "Et", "transpiration_flux", -1.0, 30.0, "transpiration tveg< transp< transp_veg"),
    _flux("runoff", "Runoff", "R", "runoff_flux", 0.0, 2000.0,
          "runoff total_runoff ro< mrro< streaminput streaminputs rnof runof qtot< q? discharge? streamflow? q_obs? qobs? "
          "specific_discharge water_yield wyld flow!?", scaler="log1p"),
    _flux("surface_runoff", "Surface runoff", "Rs", "surface_runoff_flux", 0.0, 2000.0,
          "surface_runoff sro< mrros< qs< ssrun direct_runoff overland_flow quickflow quick_flow qd! surq", scaler="log1p"),
    _flux("subsurface_runoff", "Subsurface runoff and baseflow", "Rb", "subsurface_runoff_flux", 0.0, 500.0,
          "subsurface_runoff sub_surface_runoff baseflow base_flow ssro< bgrun qsb< qb! interflow", scaler="log1p"),
    _flux("infiltration", "Infiltration", "I", "", 0.0, 2000.0, "infiltration infilt infil", scaler="log1p"),
    _flux("inwater", "Water entering the river", "IW", "", 0.0, 5000.0, "inwater inwatermm iw<", scaler="log1p", stretch="log"),
    _flux("recharge", "Groundwater recharge", "RCH", "", -50.0, 500.0, "recharge groundwater_recharge rch< rech< gwrecharge percolation"),
    _flux("groundwater_flow", "Groundwater flow", "G", "", -500.0, 500.0,
          "groundwater_flow groundwater_flux groundwater_discharge gw_flow lateral_groundwater_flow g!?"),
    _flux("pumping", "Groundwater pumping rate", "GPR", "", -1e7, 1e7,
          "pumping pumping_rate pump groundwater_abstraction groundwater_withdrawal abstraction withdrawal well_rate gpr< irrigation!?",
          ramp=_PLAIN, units="m3/d"),
)  # fmt: skip

_AIR = (
    _state("temperature", "Air temperature", "T", "air_temperature", "degC", -90.0, 60.0,
           "temperature air_temperature mean_temperature average_temperature 2m_temperature temp air_temp tair tas< tavg< tave< tmean t2m 2t ta< "
           "tg! tmp? t!", ramp=_WARMTH),
    _state("temperature_max", "Maximum air temperature", "Tmax", "air_temperature", "degC", -90.0, 65.0,
           "tmax tasmax t2m_max max_t2m maximum_temperature temperature_maximum max_temperature temperature_max maximum_air_temperature temp_max max_temp "
           "maximum_2m_temperature maximum_2_m_temperature maximum_daily_temperature daily_maximum_temperature tmmx mx2t tx! tmx! t_max tempmax", ramp=_WARMTH, gather="maximum"),
    _state("temperature_min", "Minimum air temperature", "Tmin", "air_temperature", "degC", -95.0, 50.0,
           "tmin tasmin t2m_min min_t2m minimum_temperature temperature_minimum min_temperature temperature_min minimum_air_temperature temp_min min_temp "
           "minimum_2m_temperature minimum_2_m_temperature minimum_daily_temperature daily_minimum_temperature tmmn mn2t tn! tmn! t_min tempmin", ramp=_WARMTH, gather="minimum"),
    _state("dew_point", "Dew point temperature", "Td", "dew_point_temperature", "degC", -100.0, 40.0,
           "dew_point dewpoint dew_point_temperature dewpoint_temperature 2m_dewpoint_temperature d2m 2d tdew tdmean tdps<", ramp=_WARMTH),
    _state("land_surface_temperature", "Land surface temperature", "LST", "surface_temperature", "degC", -100.0, 90.0,
           "land_surface_temperature surface_temperature surf_temp lst", ramp=_WARMTH),
    _state("skin_temperature", "Skin temperature", "Skt", "surface_temperature", "degC", -100.0, 90.0,
           "skin_temperature skt< skintemp avgsurft tskin ts?", ramp=_WARMTH),
    _state("soil_temperature", "Soil temperature", "ST", "soil_temperature", "degC", -70.0, 70.0,
           "soil_temperature soil_temp soiltmp soil_tmp stl tsl< tsoil tsoi st?", ramp=_WARMTH),
    _state("effective_soil_temperature", "Effective soil temperature", "EST", "", "degC", -70.0, 70.0,
           "effective_soil_temperature effective_temperature teff est?", ramp=_WARMTH),
    _state("water_temperature", "Water temperature", "Tw", "", "degC", -3.0, 50.0,
           "water_temperature watertemp water_temp river_temperature river_temp stream_temperature lake_temperature", ramp=_WARMTH),
    _state("humidity", "Specific humidity", "q", "specific_humidity", "g/kg", 0.0, 60.0,
           "humidity specific_humidity qair spfh huss< hus< sph< shum q? sh? q2m qv2m"),
    _state("relative_humidity", "Relative humidity", "RH", "relative_humidity", "%", 0.0, 110.0,
           "relative_humidity rel_humidity rel_hum rel_humid rh< hurs< hur< rhum hu? r!? rmin? rmax?"),
    _state("vapour_pressure", "Vapour pressure", "ea", "water_vapor_partial_pressure_in_air", "kPa", 0.0, 12.0,
           "vapour_pressure vapor_pressure water_vapor_pressure vap! vapr vp! eabs"),
    _state("vapour_pressure_deficit", "Vapour pressure deficit", "VPD", "water_vapor_saturation_deficit_in_air", "kPa", 0.0, 15.0,
           "vapour_pressure_deficit vapor_pressure_deficit vapour_deficit saturation_deficit vpd vpdmax vpdmin", ramp=_DRY),
    _state("pressure", "Atmospheric pressure", "Patm", "surface_air_pressure", "hPa", 300.0, 1100.0,
           "pressure air_pressure surface_pressure atmospheric_pressure barometric_pressure mean_sea_level_pressure psurf pres< ps? sp< "
           "msl! mslp psl< patm prmsl pp?", ramp=_PLAIN),
    _state("wind", "Wind speed", "WS", "wind_speed", "m/s", 0.0, 120.0,
           "wind wind_speed windspeed ws! wspd wss sfcwind wind10m si10 10si u2 vs? fg? 10m_wind_speed", ramp=_PLAIN),
    _state("wind_u", "Eastward wind", "U", "eastward_wind", "m/s", -120.0, 120.0,
           "eastward_wind x_wind u10 10u uas< ugrd uwnd wind_u u_wind wind_e u_component u_component_of_wind u!?", ramp=_PLAIN),
    _state("wind_v", "Northward wind", "V", "northward_wind", "m/s", -120.0, 120.0,
           "northward_wind y_wind v10 10v vas< vgrd vwnd wind_v v_wind wind_n v_component v_component_of_wind v!?", ramp=_PLAIN),
    _state("cloud_cover", "Cloud cover", "CC", "cloud_area_fraction", "%", 0.0, 100.0,
           "cloud_cover total_cloud_cover cloudiness cloud_fraction tcc< clt< cld! tcdc", ramp=_PLAIN),
    _state("sunshine", "Sunshine hours", "SunHrs", "duration_of_sunshine", "h", 0.0, 24.0,
           "sunshine sunshine_duration sunshine_hours sun_hours sunhrs sund< sundur", ramp=_SUN, gather="sum"),
    _state("day_length", "Day length", "DL", "", "h", 0.0, 24.0, "day_length daylength dayl< daylight photoperiod", ramp=_SUN),
    _state("radar_echo", "Radar echo map", "REM", "equivalent_reflectivity_factor", "dBZ", -60.0, 90.0,
           "radar_echo radar_reflectivity reflectivity dbz dbzh cappi rem? echo!", ramp=_PLAIN, gather="maximum"),
)  # fmt: skip

_ENERGY = (
    _state("radiation", "Radiation", "RAD", "", "W/m2", -200.0, 1500.0, "radiation rad!", ramp=_SUN),
    _state("shortwave_radiation", "Shortwave radiation, downward", "SF", "surface_downwelling_shortwave_flux_in_air", "W/m2", -5.0, 1500.0,
           "shortwave short_wave shortwave_radiation shortwave_flux solar_radiation solar swdown sw_down ssrd< rsds< dswrf swd! srad< insolation ssrad "
           "global_radiation surface_solar_radiation_downwards solar_short_wave sr? sf? rg? rs? qq? fsds swgdn", ramp=_SUN),
    _state("net_shortwave_radiation", "Net shortwave radiation", "SWnet", "surface_net_downward_shortwave_flux", "W/m2", -50.0, 1400.0,
           "net_shortwave net_solar_radiation surface_net_solar_radiation ssr< rss< swnet", ramp=_SUN),
    _state("longwave_radiation", "Longwave radiation, downward", "LF", "surface_downwelling_longwave_flux_in_air", "W/m2", 0.0, 700.0,
           "longwave long_wave longwave_radiation longwave_flux lwdown lw_down strd< rlds< dlwrf lwd! thermal_radiation_downwards "
           "surface_thermal_radiation_downwards surface_thermal_radiation_downward lf? flds lwgab", ramp=_SUN),
    _state("net_thermal_radiation", "Net surface thermal radiation", "TR", "surface_net_downward_longwave_flux", "W/m2", -500.0, 200.0,
           "net_thermal_radiation net_longwave surface_net_thermal_radiation thermal_radiation str! rls< lwnet tr?", ramp=_SUN),
    _state("net_radiation", "Net radiation", "Rn", "surface_net_downward_radiative_flux", "W/m2", -500.0, 1300.0,
           "net_radiation netrad net_rad rnet r_net rn!", ramp=_SUN),
    _state("sensible_heat", "Sensible heat flux", "SHF", "surface_upward_sensible_heat_flux", "W/m2", -1000.0, 1000.0,
           "sensible_heat sensible_heat_flux sensible sshf< hfss< qh< shtfl shf?", ramp=_SUN),
    _state("latent_heat", "Latent heat flux", "LE", "surface_upward_latent_heat_flux", "W/m2", -1000.0, 1000.0,
           "latent_heat latent_heat_flux latent slhf< hfls< qle< lhtfl le<", ramp=_SUN),
    _state("soil_heat", "Soil heat flux", "SoilHF", "downward_heat_flux_at_ground_level_in_soil", "W/m2", -500.0, 500.0,
           "soil_heat soil_heat_flux ground_heat_flux soilhf grnd_flux ground_heat gflux qg?", ramp=_SUN),
    _state("albedo", "Albedo", "ALB", "surface_albedo", "-", 0.0, 1.0, "albedo alb! fal< asn< snow_albedo", ramp=_PLAIN),
    _state("brightness_temperature", "Brightness temperature", "TB", "brightness_temperature", "K", 0.0, 400.0,
           "brightness_temperature tb< tbv tbh", ramp=_WARMTH),
)  # fmt: skip

_SOIL_AND_SNOW = (
    _state("soil_moisture", "Soil moisture", "SM", "volume_fraction_of_condensed_water_in_soil", "-", 0.0, 1.2,
           "soil_moisture soilmoisture surface_soil_moisture sm< ssm< swvl vwc! soil_moist soilmoist soilmoi soilm< volumetric_soil_water "
           "volumetric_water_content soil_water_content? water_content! relative_saturation soil_saturation soil_wet satdeg sat_deg theta! swc< "
           "moisture! mrsos?"),
    _state("root_zone_soil_moisture", "Root zone soil moisture", "RZSM", "", "-", 0.0, 1.2,
           "root_zone_soil_moisture rootzone_soil_moisture root_zone rootzone rzsm smroot sm_rootzone rootmoist sm_root"),
    _state("moisture_availability", "Moisture availability", "MA", "", "-", 0.0, 1.0, "moisture_availability mavail ma! soil_moisture_availability"),
    _state("normalized_soil_moisture_index", "Normalized soil moisture index", "NSMI", "", "-", -1.0, 1.0,
           "normalized_soil_moisture normalized_soil_moisture_index normalised_soil_moisture nsmi"),
    _state("soil_water", "Soil water", "SW", "mass_content_of_water_in_soil", "mm", 0.0, 5000.0,
           "soil_water soilwater soil_water_storage soil_water_content soil_storage soil_moisture? soilmoist? soil_moist? soilmoi? soilm? sm? swc? "
           "mrso< mrsol< mrsos? root_zone? rootmoist? unsatstw stor_upp stor_low soil!?"),
    _state("snow_depth", "Snow depth", "HS", "surface_snow_thickness", "m", 0.0, 60.0,
           "snow_depth snow_height snow_thickness snowdepth depth_of_snow snd< snod< sde< hs!", ramp=_SNOW, scaler="log1p"),
    _state("snow_cover", "Snow cover", "SC", "surface_snow_area_fraction", "%", 0.0, 100.0,
           "snow_cover snow_cover_fraction snow_covered_area snow_fraction snowc< snc< scf< scov< fsca", ramp=_SNOW),
    _state("snow_density", "Snow density", "rho_s", "snow_density", "kg/m3", 0.0, 950.0, "snow_density rsn<", ramp=_SNOW),
    _state("snow", "Snow water equivalent", "SWE", "lwe_thickness_of_surface_snow_amount", "mm", 0.0, 20000.0,
           "snow swe snowpack snow_water_equivalent snow_depth_water_equivalent snow_water snowwater snow_storage snow_cover_swe snow_depth? sd! snw< weasd",
           ramp=_SNOW, scaler="log1p"),
)  # fmt: skip

_STORES = (
    _state("terrestrial_water_storage", "Terrestrial water storage", "TWS", "", "mm", -1e4, 1e5,
           "terrestrial_water_storage total_water_storage water_storage totalwaterstoragethickness tws twsa lwe_thickness grace tws_anomaly twsan"),
    _state("groundwater_storage", "Groundwater storage", "GWS", "", "mm", -1e5, 1e5,
           "groundwater_storage groundwater gw_storage gw! gws< gwstor satstw stor_groundwater storgroundwater"),
    _state("groundwater_head", "Hydraulic head", "HH", "", "m", -1e4, 1e4,
           "hydraulic_head groundwater_head gw_head gwhead piezometric_head piezometric head! heads! hh! h?!"),
    _state("groundwater_level", "Groundwater level", "GWL", "", "m", -1e4, 1e4,
           "groundwater_level groundwater_table gw_level groundwaterlevel gwl< water_table water_table_elevation"),
    _state("groundwater_depth", "Depth to groundwater", "DTW", "water_table_depth", "m", -100.0, 2000.0,
           "groundwater_depth depth_to_groundwater water_table_depth depth_to_water depth_to_water_table depth_of_groundwater wtd< zwt< dtw< zi!?"),
    _state("canopy_storage", "Water on the canopy", "CWS", "canopy_water_amount", "mm", 0.0, 100.0,
           "canopy_storage canopy_water canopy_interception interception canopint interceptstor intercept_stor cnwat wdew skin_reservoir_content src?"),
    _state("surface_water_storage", "Surface water storage", "SWS", "", "mm", 0.0, 1e6,
           "surface_water_storage surface_storage channel_storage river_storage lake_storage depression_storage sealedstw", scaler="log1p"),
    _state("water_depth", "Water depth", "d", "flood_water_thickness", "m", 0.0, 1000.0,
           "water_depth inundation_depth flood_depth flow_depth river_depth rivdph flddph wd! depth! inundation! h_av d?! h?!", scaler="log1p"),
    _state("water_level", "Water level", "WL", "water_surface_height_above_reference_datum", "m", -500.0, 9000.0,
           "water_level water_stage river_stage stage! gauge_height water_surface_elevation water_surface_height river_level lake_level "
           "wl! wse! sfcelv level!?"),
    _state("flood_fraction", "Flooded share", "FF", "", "-", 0.0, 1.0,
           "flood_fraction flooded_fraction inundation_fraction inundated_fraction water_fraction waterbody_fraction fldfrc water_body_fraction "
           "static_water_body_fraction"),
    _state("discharge", "Discharge", "Q", "water_volume_transport_in_river_channel", "m3/s", 0.0, 4e5,
           "discharge streamflow stream_flow river_flow river_discharge q! q_obs q_routed q_sim q_mod q_river q_av qobs qsim qrouted dis< dis24 "
           "disch rivout outflw flow! flow_rate inflow outflow rchanq chanq rivo< runoff? qr!?", scaler="log1p", stretch="log"),
    _state("flow_velocity", "Flow velocity", "v", "flood_water_speed", "m/s", -30.0, 30.0,
           "flow_velocity water_velocity river_velocity flood_velocity velocity! flow_speed"),
)  # fmt: skip

_VEGETATION = (
    _state("ndvi", "Normalized difference vegetation index", "NDVI", "normalized_difference_vegetation_index", "-", -1.0, 1.0,
           "ndvi normalized_difference_vegetation_index", ramp=_GREEN),
    _state("evi", "Enhanced vegetation index", "EVI", "", "-", -1.0, 1.0, "evi enhanced_vegetation_index evi2", ramp=_GREEN),
    _state("lai", "Leaf area index", "LAI", "leaf_area_index", "-", 0.0, 20.0, "lai leaf_area_index leaf_area", ramp=_GREEN),
    _state("lai_high", "Leaf area index of high vegetation", "HV-LAI", "leaf_area_index", "-", 0.0, 20.0,
           "lai_hv hv_lai lai_high high_lai leaf_area_index_high_vegetation leaf_area_index_high high_vegetation_leaf_area_index hvlai", ramp=_GREEN),
    _state("lai_low", "Leaf area index of low vegetation", "LV-LAI", "leaf_area_index", "-", 0.0, 20.0,
           "lai_lv lv_lai lai_low low_lai leaf_area_index_low_vegetation leaf_area_index_low low_vegetation_leaf_area_index lvlai", ramp=_GREEN),
    _state("vegetation_opacity", "Vegetation opacity", "VOP", "", "-", 0.0, 6.0,
           "vegetation_opacity vegetation_optical_depth vop! vod! opacity!", ramp=_GREEN),
    _state("vegetation_water_content", "Vegetation water content", "VWC", "", "kg/m2", 0.0, 100.0,
           "vegetation_water_content vegetation_water plant_water_content vwc?", ramp=_GREEN),
)  # fmt: skip

_TERRAIN = (
    _static("elevation", "Elevation", "DEM", "surface_altitude", "m", -500.0, 9000.0,
            "elevation dem altitude elev elv srtm top! topo! topography orography orog< bed_elevation dgm dtm dhm merit? geopotential? z?! height?!"),
    _static("slope", "Slope", "slope", "ground_slope_angle", "deg", 0.0, 90.0, "slope slopes"),
    _static("slope_gradient", "Slope as a gradient", "grad", "", "-", 0.0, 30.0, "slope? river_slope riverslope slope_gradient gradient! slope_percent"),
    _static("aspect", "Aspect", "aspect", "ground_slope_direction", "deg", -1.0, 360.0, "aspect exposition"),
    _static("aspect_sin", "Aspect, sine (east)", "sin a", "", "-", -1.0, 1.0, "aspect_sin aspect_sine sin_aspect eastness"),
    _static("aspect_cos", "Aspect, cosine (north)", "cos a", "", "-", -1.0, 1.0, "aspect_cos aspect_cosine cos_aspect northness"),
    _static("upstream_area", "Upstream area", "A", "", "km2", 0.0, 1e8,
            "upstream_area upstream upstreamarea drainage_area catchment_area contributing_area uparea upa< ups! flowacc? flow_accumulation? facc?",
            scaler="log1p", stretch="log"),
    _static("flow_accumulation", "Flow accumulation", "facc", "", "-", 0.0, 1e12,
            "flow_accumulation flowacc flow_acc facc< accumulation! acc!", scaler="log1p", stretch="log"),
    _static("height_above_drainage", "Height above the nearest drainage", "HAND", "", "m", -100.0, 9000.0,
            "height_above_drainage height_above_nearest_drainage hand! hnd!"),
    _static("topographic_wetness", "Topographic wetness", "TWI", "", "-", -20.0, 60.0,
            "topographic_wetness topographic_wetness_index wetness_index topographic_index twi< cti!", ramp=_WATER),
    _static("distance_to_outlet", "Distance to the outlet", "L", "", "km", 0.0, 2e4,
            "distance_to_outlet outlet_distance flow_distance flow_length flowlength downstream_distance"),
    _static("distance", "Spatial distance", "SpDist", "", "km", 0.0, 4.1e4,
            "spatial_distance spdist distance_to_river distance_to_stream distance_to_channel distance_to_coast distance_to_well distance! dist!"),
    _static("roughness", "Roughness coefficient", "Rough", "", "-", 0.0, 10.0,
            "roughness roughness_coefficient manning mannings manning_n n_river rough!"),
    _static("area_fraction", "Share of the area", "frac", "", "-", 0.0, 1.0,
            "forest_fraction land_fraction sftlf lsm< cvh< cvl< vegetation_cover vegetation_fraction canopy_cover impervious imperviousness "
            "sealed_fraction urban_fraction glacier_fraction lake_fraction fraction!"),
)  # fmt: skip

_GROUND = (
    _static("bulk_density", "Bulk density", "BD", "", "g/cm3", 0.0, 3.0, "bulk_density bulkdensity bdod bulk! bd?"),
    _static("clay", "Clay content", "CLAY", "volume_fraction_of_clay_in_soil", "%", 0.0, 100.0, "clay clay_content clay_fraction clyppt"),
    _static("sand", "Sand content", "SAND", "volume_fraction_of_sand_in_soil", "%", 0.0, 100.0, "sand sand_content sand_fraction sndppt"),
    _static("silt", "Silt content", "SILT", "volume_fraction_of_silt_in_soil", "%", 0.0, 100.0, "silt silt_content silt_fraction sltppt"),
    _static("soil_organic_matter", "Soil organic matter", "SOM", "", "%", 0.0, 100.0,
            "soil_organic_matter organic_matter som! soil_organic_carbon organic_carbon soc! orcdrc"),
    _static("porosity", "Porosity", "n", "soil_porosity", "-", 0.0, 1.0, "porosity soil_porosity thetas theta_s"),
    _static("field_capacity", "Field capacity", "FC", "volume_fraction_of_condensed_water_in_soil_at_field_capacity", "-", 0.0, 1.0,
            "field_capacity fieldcap thetafc theta_fc"),
    _static("wilting_point", "Wilting point", "WP", "volume_fraction_of_condensed_water_in_soil_at_wilting_point", "-", 0.0, 1.0,
            "wilting_point wiltpoint thetawp theta_wp pwp!"),
    _static("hydraulic_conductivity", "Hydraulic conductivity", "K", "soil_hydraulic_conductivity_at_saturation", "m/d", 0.0, 1e6,
            "hydraulic_conductivity saturated_conductivity hk< ksat ksatver k_sat conductivity! kh! kv! k?!", scaler="log1p", stretch="log"),
    _static("specific_yield", "Specific yield", "Sy", "", "-", 0.0, 1.0, "specific_yield sy! storativity"),
    _static("soil_depth", "Soil depth", "SD", "", "m", 0.0, 500.0,
            "soil_depth depth_of_soil depth_of_the_soil soil_thickness thickness_of_soil soilthickness soildepth depth_to_bedrock bedrock_depth "
            "rooting_depth root_depth rootdepth rootingdepth regolith_thickness"),
    _static("property", "Map of a property", "prop", "", "-", -1e12, 1e12,
            "capa awc available_water available_water_capacity curvature transmissivity clay? sand? silt? field_capacity? wilting_point? porosity?"),
)  # fmt: skip

_CLASSES = (
    _class("land_cover", "Land cover",
           "land_cover landcover land_use landuse lulc land! corine clc! nlcd igbp worldcover vegetation_type", "LULC"),
    _class("soil_class", "Soil class", "soil_class soil_type soil_texture soil_group soil_map soiltype soil! wrb! slt!"),
    _class("flow_direction", "Flow direction", "flow_direction flowdir flow_dir drainage_direction fdir< flwdir ldd d8! dir!"),
    _class("class_map", "Map of classes",
           "class! classes! river! rivers! streamorder stream_order strahler subcatch subcatchment subbasin sub_basin basin! basins! catchment! "
           "catchments! watershed! geology lithology landmask gauges! idgauges mask zone! zones! region! regions!"),
)  # fmt: skip

_FURTHER = (
    _state("local_moran", "Local Moran index", "LMI", "", "-", -1e3, 1e3, "local_moran local_moran_index local_morans moran lmi!", ramp=_PLAIN),
    _state("time_variable", "Time variable (month, day)", "TV", "", "-", -1e4, 1e4,
           "day_of_year doy! julian_day time_variable month_of_year sin_doy cos_doy seasonality!", ramp=_PLAIN),
    Quantity("standardised", "Standardised values (z-scores)", "z", "", "-", "state", -1e30, 1e30, "mean", "bilinear", "none", _PLAIN,
             ("z_score", "z_scores", "zscore", "zscores")),
    Quantity("other", "Another quantity", "x", "", "-", "state", -1e30, 1e30, "mean", "bilinear", "standard", _PLAIN, ()),
)  # fmt: skip

CATALOGUE: tuple[Quantity, ...] = (
    *_FLUXES, *_AIR, *_ENERGY, *_SOIL_AND_SNOW, *_STORES, *_VEGETATION, *_TERRAIN, *_GROUND, *_CLASSES, *_FURTHER,
)  # fmt: skip

# Standard names in files beside those of the entries themselves; the first whose name or unit fits is taken.
STANDARD_NAMES: dict[str, tuple[str, ...]] = {
    "precipitation_flux": ("precipitation",), "precipitation_amount": ("precipitation",), "lwe_thickness_of_precipitation_amount": ("precipitation",),
    "rainfall_rate": ("rainfall", "rain_rate"), "rainfall_amount": ("rainfall",), "thickness_of_rainfall_amount": ("rainfall",),
    "snowfall_flux": ("snowfall",), "snowfall_amount": ("snowfall",), "lwe_thickness_of_snowfall_amount": ("snowfall",),
    "surface_snow_melt_amount": ("snowmelt",), "surface_snow_and_ice_melt_flux": ("snowmelt",),
    "water_potential_evaporation_amount": ("pet",), "water_potential_evapotranspiration_amount": ("pet",),
    "water_evapotranspiration_amount": ("evapotranspiration",), "water_evaporation_flux": ("evapotranspiration",),
    "water_evaporation_amount": ("evapotranspiration",), "lwe_water_evaporation_rate": ("evapotranspiration",),
    "lwe_thickness_of_water_evaporation_amount": ("evapotranspiration",), "transpiration_amount": ("transpiration",),
    "runoff_amount": ("runoff",), "surface_runoff_amount": ("surface_runoff",), "subsurface_runoff_amount": ("subsurface_runoff",),
    "baseflow_amount": ("subsurface_runoff",), "water_vapor_pressure": ("vapour_pressure",),
    "water_vapor_saturation_deficit": ("vapour_pressure_deficit",), "air_pressure": ("pressure",),
    "air_pressure_at_mean_sea_level": ("pressure",), "air_pressure_at_sea_level": ("pressure",), "x_wind": ("wind_u",), "y_wind": ("wind_v",),
    "surface_specific_humidity": ("humidity",), "surface_downwelling_shortwave_flux": ("shortwave_radiation",),
    "surface_downwelling_longwave_flux": ("longwave_radiation",),
    "integral_wrt_time_of_surface_downwelling_shortwave_flux_in_air": ("shortwave_radiation",),
    "integral_wrt_time_of_surface_downwelling_longwave_flux_in_air": ("longwave_radiation",),
    "integral_wrt_time_of_surface_net_downward_shortwave_flux": ("net_shortwave_radiation",),
    "integral_wrt_time_of_surface_net_downward_longwave_flux": ("net_thermal_radiation",),
    "downward_heat_flux_in_soil": ("soil_heat",), "toa_brightness_temperature": ("brightness_temperature",),
    "volume_fraction_of_water_in_soil": ("soil_moisture", "root_zone_soil_moisture"),
    "soil_moisture_content": ("soil_water", "soil_moisture"), "moisture_content_of_soil_layer": ("soil_water",),
    "mass_content_of_water_in_soil_layer": ("soil_water",), "lwe_thickness_of_soil_moisture_content": ("soil_water",),
    "lwe_thickness_of_moisture_content_of_soil_layer": ("soil_water",), "surface_snow_amount": ("snow",),
    "lwe_thickness_of_canopy_water_amount": ("canopy_storage",), "altitude": ("elevation",), "ground_level_altitude": ("elevation",),
    "bedrock_altitude": ("elevation",), "geopotential": ("elevation",), "geopotential_height": ("elevation",),
    "vegetation_area_fraction": ("area_fraction",), "land_area_fraction": ("area_fraction",), "soil_type": ("soil_class",),
    "area_type": ("land_cover",), "land_cover": ("land_cover",), "land_cover_lccs": ("land_cover",), "root_depth": ("soil_depth",),
}  # fmt: skip
