# cmake -DNVCC=... -DSOURCE=... -DFATBIN=... -P fatbin.cmake
# Compiles the kernels for all GPUs that nvcc knows of these. If it cannot, the build goes on without:
# where there is a GPU, the source that ships is compiled for it when it is first used.
execute_process(COMMAND ${NVCC} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
foreach(capability 75 80 90)  # 86 and 89 run what is built for 80
  if(known MATCHES "sm_${capability}")
    list(APPEND targets -gencode arch=compute_${capability},code=sm_${capability})
    set(latest ${capability})
  endif()
endforeach()
# Without contraction the results have the same bits as on the CPU.
execute_process(
  COMMAND ${NVCC} -fatbin -std=c++17 -O3 -fmad=false --threads 0 ${targets}
          -gencode arch=compute_${latest},code=compute_${latest} -o ${FATBIN} ${SOURCE}
  RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(failed)
  file(REMOVE ${FATBIN})
  message(STATUS "No kernels for GPUs are built, as nvcc does not work here: ${said}")
endif()
