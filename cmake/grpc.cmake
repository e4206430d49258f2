# gRPC in three parts, so that only who speaks it maps libgrpc:
#
#   efx_grpc_so     libefx_grpc.so beside the programs: transport/grpc over libgrpc, opened by dlopen
#   efx_grpc_load   what opens it, and the table that it hands out
#   efx_grpc        node/grpc: the services on a node, over that table; control messages by protobuf-c
include(GNUInstallDirs)
find_library(EFX_GRPC_LIBRARY grpc REQUIRED)
find_library(EFX_GPR_LIBRARY gpr REQUIRED)
find_library(EFX_SNAPPY_LIBRARY snappy REQUIRED)
find_program(EFX_PROTOC protoc REQUIRED)
find_program(EFX_PROTOC_C protoc-c REQUIRED)

# Where an installed program finds the library: from its own folder.
file(RELATIVE_PATH EFX_GRPC_FROM_BIN /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR}/efx)

file(GLOB grpc_sources CONFIGURE_DEPENDS transport/grpc/*.c)
set(grpc_load ${CMAKE_CURRENT_SOURCE_DIR}/transport/grpc/grpc_load.c)
list(REMOVE_ITEM grpc_sources ${grpc_load})

add_library(efx_grpc_load STATIC ${grpc_load})
target_include_directories(efx_grpc_load PUBLIC transport/grpc)
target_compile_definitions(efx_grpc_load PRIVATE EFX_GRPC_FROM_BIN="${EFX_GRPC_FROM_BIN}")
target_link_libraries(efx_grpc_load PUBLIC efx_base PRIVATE efx_flags ${CMAKE_DL_LIBS})

# The fuzzer's coverage hooks are in the fuzz targets only: a shared library would not link.
if(NOT EFX_FUZZ)
    add_library(efx_grpc_so MODULE ${grpc_sources})
    set_target_properties(efx_grpc_so PROPERTIES
        OUTPUT_NAME efx_grpc LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    target_include_directories(efx_grpc_so PRIVATE transport/grpc)
    target_link_libraries(efx_grpc_so PRIVATE efx_base efx_flags ${EFX_GRPC_LIBRARY}
        ${EFX_GPR_LIBRARY} ${EFX_SNAPPY_LIBRARY} PkgConfig::LZ4 PkgConfig::ZSTD Threads::Threads)
    add_dependencies(efx_grpc_load efx_grpc_so)
    install(TARGETS efx_grpc_so LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/efx)
endif()

# ---- messages: C by protoc-c, and the descriptors that reflection hands out
set(EFX_PB_DIR ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${EFX_PB_DIR})
set(pb_sources)
foreach(name eventflux transport)
    set(proto ${CMAKE_CURRENT_SOURCE_DIR}/proto/${name}.proto)
    add_custom_command(
        OUTPUT ${EFX_PB_DIR}/${name}.pb-c.c ${EFX_PB_DIR}/${name}.pb-c.h
        COMMAND ${EFX_PROTOC_C} --c_out=${EFX_PB_DIR} -I ${CMAKE_CURRENT_SOURCE_DIR}/proto ${proto}
        DEPENDS ${proto} VERBATIM)
    list(APPEND pb_sources ${EFX_PB_DIR}/${name}.pb-c.c ${EFX_PB_DIR}/${name}.pb-c.h)
endforeach()
add_library(efx_pb STATIC ${pb_sources})
target_include_directories(efx_pb SYSTEM PUBLIC ${EFX_PB_DIR})
target_link_libraries(efx_pb PUBLIC PkgConfig::PROTOBUF_C)

set(served_protos ${CMAKE_CURRENT_SOURCE_DIR}/proto/eventflux.proto
    ${CMAKE_CURRENT_SOURCE_DIR}/proto/transport.proto
    ${CMAKE_CURRENT_SOURCE_DIR}/node/grpc/health.proto
    ${CMAKE_CURRENT_SOURCE_DIR}/node/grpc/reflection.proto
    ${CMAKE_CURRENT_SOURCE_DIR}/node/grpc/reflection_alpha.proto)
add_custom_command(
    OUTPUT ${EFX_PB_DIR}/served.desc
    COMMAND ${EFX_PROTOC} -I ${CMAKE_CURRENT_SOURCE_DIR}/proto
        -I ${CMAKE_CURRENT_SOURCE_DIR}/node/grpc
        --descriptor_set_out=${EFX_PB_DIR}/served.desc ${served_protos}
    DEPENDS ${served_protos} VERBATIM)
add_custom_target(efx_served DEPENDS ${EFX_PB_DIR}/served.desc)

efx_room(efx_grpc node/grpc efx_lib efx_grpc_load efx_pb)
target_include_directories(efx_grpc PUBLIC node)
target_compile_definitions(efx_grpc PRIVATE EFX_SERVED_DESC="${EFX_PB_DIR}/served.desc")
set_source_files_properties(node/grpc/descriptors.c PROPERTIES
    OBJECT_DEPENDS ${EFX_PB_DIR}/served.desc)
