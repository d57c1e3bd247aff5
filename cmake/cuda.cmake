# SPDX-License-Identifier: GPL-3.0-or-later
# CUDA where it is found: nvcc as a plain tool, so that the project stays one of C alone. The
# runtime is linked statically and the driver loaded when first asked for: a program built with
# CUDA starts without.

set(PERRIN_CUDA AUTO CACHE STRING "Kernels for GPUs: AUTO (if nvcc is found), ON, OFF")
set_property(CACHE PERRIN_CUDA PROPERTY STRINGS AUTO ON OFF)
set(PERRIN_CUDA_ARCHITECTURES "80;90" CACHE STRING
	"Compute capabilities to build for; the last one as PTX too, for later devices")
set(PN_NVCC "")

# pn_cuda_try(): PN_CUDA_WORKS, the nvcc that was seen to work with a host compiler; asked once for each.
function(pn_cuda_try)
	if(PN_CUDA_WORKS STREQUAL PERRIN_NVCC)
		return()
	endif()
	set(probe ${CMAKE_BINARY_DIR}/CMakeFiles/cuda-probe)
	file(WRITE ${probe}.cu "#include <cuda_runtime.h>\n__global__ void probe() {}\n")
	execute_process(COMMAND ${PERRIN_NVCC} -gencode arch=compute_80,code=sm_80 -c ${probe}.cu -o ${probe}.o
		RESULT_VARIABLE failed OUTPUT_VARIABLE words ERROR_VARIABLE words)
	if(failed)
		message(STATUS "nvcc does not work here: ${words}")
	else()
		set(PN_CUDA_WORKS ${PERRIN_NVCC} CACHE INTERNAL "nvcc that works")
	endif()
endfunction()

if(PERRIN_CUDA)
	find_program(PERRIN_NVCC nvcc PATHS ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
	if(PERRIN_NVCC)
		get_filename_component(root ${PERRIN_NVCC} REALPATH)
		get_filename_component(root ${root}/../.. ABSOLUTE)
		find_library(PERRIN_CUDART cudart_static PATHS ${root}
			PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib lib/x86_64-linux-gnu)
		pn_cuda_try()
		if(PERRIN_CUDART AND PN_CUDA_WORKS STREQUAL PERRIN_NVCC)
			set(PN_NVCC ${PERRIN_NVCC})
		endif()
	endif()
	if(PERRIN_CUDA STREQUAL "ON" AND NOT PN_NVCC)
		message(FATAL_ERROR "PERRIN_CUDA is ON, but no nvcc that works with its libcudart_static was found")
	endif()
endif()
if(PN_NVCC)
	message(STATUS "CUDA kernels by ${PN_NVCC} for ${PERRIN_CUDA_ARCHITECTURES}")
else()
	message(STATUS "No CUDA kernels")
endif()

# pn_cuda_object(<target> <file.cu>): compile it and make it part of the target.
function(pn_cuda_object target source)
	get_filename_component(stem ${source} NAME_WE)
	set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}.cu.o)
	# a C program links it: nothing of the C++ runtime
	set(flags -O3 -std=c++17 -Xcompiler -Wall,-Wextra,-fPIE,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
		--generate-line-info)
	if(PERRIN_WERROR)
		list(APPEND flags -Werror all-warnings -Xcompiler -Werror)
	endif()
	foreach(arch ${PERRIN_CUDA_ARCHITECTURES})
		list(APPEND flags -gencode arch=compute_${arch},code=sm_${arch})
	endforeach()
	list(GET PERRIN_CUDA_ARCHITECTURES -1 newest)
	list(APPEND flags -gencode arch=compute_${newest},code=compute_${newest})
	add_custom_command(OUTPUT ${object}
		COMMAND ${PN_NVCC} ${flags} -MD -MF ${object}.d -c ${source} -o ${object}
		DEPENDS ${source} DEPFILE ${object}.d VERBATIM COMMENT "Building CUDA object ${stem}.cu.o")
	target_sources(${target} PRIVATE ${object})
	set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
	target_link_libraries(${target} PRIVATE ${PERRIN_CUDART} Threads::Threads ${CMAKE_DL_LIBS} rt)
endfunction()
